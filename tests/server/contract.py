# SPDX-License-Identifier: MIT
"""Holds requests and answers of vkclip serve to the document that describes them (src/server/page/openapi.json).

A request that the document forbids must not succeed, and every answer must be one that it describes. Without
python3-jsonschema nothing is compared.
"""
import json
import re
import urllib.parse

try:
    import jsonschema
except ImportError:
    jsonschema = None

DOCUMENT = 'src/server/page/openapi.json'


class ContractError(AssertionError):
    """A request or an answer that differs from the document."""


class Contract:
    def __init__(self):
        with open(DOCUMENT, encoding='utf-8') as file:
            self.document = json.load(file)
        self.rows = []
        for path, methods in self.document['paths'].items():
            pattern = re.escape(path)
            pattern = pattern.replace(re.escape('{id}'), '[0-9]+').replace(re.escape('{file}'), '.*')
            pattern = pattern.replace(re.escape('{model}'), '.*')
            for method, operation in methods.items():
                if method != 'parameters':
                    self.rows.append((method.upper(), re.compile(pattern), path, operation))

    def find(self, method, path):
        """Returns the operation's path and its description, or None."""
        method = 'GET' if method == 'HEAD' else method
        return next(((template, operation) for verb, pattern, template, operation in self.rows
                     if verb == method and pattern.fullmatch(path)), None)

    def resolve(self, node):
        while '$ref' in node:
            place = self.document
            for word in node['$ref'][2:].split('/'):
                place = place[word]
            node = place
        return node

    def problem(self, schema, value):
        """Says how a value differs from a schema; None: it does not."""
        root = {**schema, 'components': self.document['components']}
        error = jsonschema.exceptions.best_match(jsonschema.Draft202012Validator(root).iter_errors(value))
        return error and f'{error.json_path}: {error.message[:500]}'

    # ---- Requests

    def request_problem(self, operation, query, body, headers):
        described = {row['name']: row['schema'] for row in operation.get('parameters', []) if row['in'] == 'query'}
        for name, text in query:
            if name not in described:
                return f'{name}: the document has no such parameter'
            number = re.fullmatch(r'-?\d+(\.\d+)?', text) and described[name].get('type') in ('number', 'integer')
            problem = self.problem(described[name], json.loads(text) if number else text)
            if problem:
                return f'{name}: {problem}'
        kind = headers.get('Content-Type', 'application/json').split(';')[0]
        content = operation.get('requestBody', {}).get('content', {})
        if kind == 'multipart/form-data' or 'application/json' not in content:
            return None if kind in content or not content else f'the document takes no {kind}'
        try:
            value = json.loads(body or b'')
        except ValueError:
            return 'the body is no JSON'
        return self.problem(content['application/json']['schema'], value)

    # ---- Answers

    def answer_problem(self, operation, method, answer):
        status, headers, body = answer
        response = operation['responses'].get(str(status))
        if not response and status < 400:
            return f'the document has no status {status}'
        response = self.resolve(response or operation['responses']['default'])
        for name, header in response.get('headers', {}).items():
            if header.get('required') and name not in headers:
                return f'there is no header {name}'
        if status == 503 and 'Retry-After' not in headers:
            return 'there is no header Retry-After'
        if method == 'HEAD' or not response.get('content'):
            return f'expected no body, found {body[:100]}' if body else None
        kind = headers.get('Content-Type', '').split(';')[0]
        if kind not in response['content'] and kind.split('/')[0] + '/*' not in response['content']:
            return f'the document has no {kind}'
        schema = response['content'].get(kind, {}).get('schema')
        if not schema:
            return None
        return self.problem(schema, json.loads(body) if kind == 'application/json' else body.decode())

    def check(self, request, answer):
        """Compares (method, URL, body, headers) and (status, headers, body)."""
        method, url, body, headers = request
        path, _, query = url.partition('?')
        found = self.find(method, urllib.parse.unquote(path))
        if not found:
            if answer[0] < 400:
                raise ContractError(f'{method} {url} succeeds, and the document does not have it')
            return
        problem = self.answer_problem(found[1], method, answer)
        if problem:
            raise ContractError(f'{method} {url}: answer {answer[0]}: {problem}: {answer[2][:500]}')
        if answer[0] < 400:
            problem = self.request_problem(found[1], urllib.parse.parse_qsl(query), body, headers)
            if problem:
                raise ContractError(f'{method} {url} succeeds, although {problem}')


def open_contract():
    return Contract() if jsonschema else None
