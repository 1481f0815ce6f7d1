# SPDX-License-Identifier: MIT
"""sbom.py TABLE DOCUMENT FILE [DOCUMENT FILE...] checks bills of materials.

Each must have the fields that SPDX 2.3 requires, describe the file, refer only to elements that it has, name a licence of
the table for each library, and list every library that the file needs.
"""

import hashlib
import json
import re
import subprocess
import sys

RELATIONS = {'DESCRIBES', 'CONTAINS', 'DYNAMIC_LINK', 'STATIC_LINK', 'BUILD_TOOL_OF', 'BUILD_DEPENDENCY_OF',
             'RUNTIME_DEPENDENCY_OF'}
LIBC = {'libc', 'libm', 'libdl', 'libpthread', 'librt'}
LICENCE = re.compile(r'[A-Za-z0-9.-]+( (AND|OR|WITH) [A-Za-z0-9.-]+)*')


def expect(truth, message):
    if not truth:
        sys.exit(f'FAILED: {message}')


def needed_libraries(path):
    listing = subprocess.run(['readelf', '-d', path], check=True, capture_output=True, text=True).stdout
    names = re.findall(r'\(NEEDED\).*\[(.+?)\.so', listing)
    return [name for name in names if name not in LIBC and not name.startswith('ld-')]


def check_document(document):
    expect(document['spdxVersion'] == 'SPDX-2.3' and document['dataLicense'] == 'CC0-1.0', 'version or data licence')
    expect(document['SPDXID'] == 'SPDXRef-DOCUMENT', 'SPDXID of the document')
    expect(re.fullmatch(r'[a-z]+://[^#\s]+', document['documentNamespace']), document['documentNamespace'])
    expect(re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ', document['creationInfo']['created']), 'time of creation')
    creators = document['creationInfo']['creators']
    expect(creators and all(re.match('(Tool|Organization|Person): .', creator) for creator in creators), 'creators')
    elements = document['packages'] + document['files']
    identities = [element['SPDXID'] for element in elements] + ['SPDXRef-DOCUMENT']
    expect(len(set(identities)) == len(identities), 'two elements have one SPDXID')
    for identity in identities:
        expect(re.fullmatch(r'SPDXRef-[A-Za-z0-9.-]+', identity), f'SPDXID {identity}')
    for relation in document['relationships']:
        expect(relation['relationshipType'] in RELATIONS, relation)
        expect({relation['spdxElementId'], relation['relatedSpdxElement']} <= set(identities), relation)
    described = [relation for relation in document['relationships'] if relation['relationshipType'] == 'DESCRIBES']
    expect(len(described) == 1, 'expected one package that the document describes')
    return next(package for package in document['packages'] if package['SPDXID'] == described[0]['relatedSpdxElement'])


def check_packages(document, licences):
    related = {relation[end] for relation in document['relationships'] for end in ('spdxElementId', 'relatedSpdxElement')}
    for package in document['packages']:
        name = package['name']
        expect(name and package['SPDXID'] in related, f'package {name}: no relation')
        for key in ('downloadLocation', 'copyrightText', 'licenseConcluded', 'licenseDeclared', 'supplier'):
            expect(package[key], f'package {name}: {key}')
        expect(LICENCE.fullmatch(package['licenseDeclared']), f'package {name}: {package["licenseDeclared"]}')
        expect(package['licenseDeclared'] == licences.get(name, package['licenseDeclared']), f'licence of {name}')
        if name in licences:
            expect(re.fullmatch(r'[0-9][0-9.a-z-]*', package['versionInfo']), f'package {name}: version')


def check_file(document, package, path):
    with open(path, 'rb') as file:
        content = file.read()
    entry, = document['files']
    sums = {checksum['algorithm']: checksum['checksumValue'] for checksum in entry['checksums']}
    expect(sums == {'SHA1': hashlib.sha1(content).hexdigest(), 'SHA256': hashlib.sha256(content).hexdigest()},
           f'{path}: checksums')
    expect(package['hasFiles'] == [entry['SPDXID']] and entry['fileName'].startswith('./'), 'file')
    code = hashlib.sha1(sums['SHA1'].encode()).hexdigest()
    expect(package['packageVerificationCode']['packageVerificationCodeValue'] == code, 'verification code')
    listed = {other.get('packageFileName', '').split('.')[0] for other in document['packages']}
    needed = needed_libraries(path)
    expect(set(needed) <= listed, f'{path} needs {sorted(set(needed) - listed)}, which the document does not list')
    print(f'{path}: {len(document["packages"])} packages, among them the {len(needed)} libraries that it needs')


def main():
    table, *pairs = sys.argv[1:]
    with open(table) as file:
        rows = [line.split(None, 8) for line in file if not line.startswith('#')]
    licences = {row[0]: row[8].strip() for row in rows}
    for document_path, path in zip(pairs[::2], pairs[1::2]):
        with open(document_path) as file:
            document = json.load(file)
        package = check_document(document)
        check_packages(document, licences)
        check_file(document, package, path)


main()
