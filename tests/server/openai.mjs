// SPDX-License-Identifier: MIT
// node openai.mjs FOLDER URL TOKEN BUSY_URL: asks vkclip serve by OpenAI's own client, which npm has installed in FOLDER.
// The server at BUSY_URL works on one request at a time.
import assert from 'node:assert/strict'
import fs from 'node:fs'
import { createRequire } from 'node:module'

const [folder, url, token, busyUrl] = process.argv.slice(2)
const OpenAI = createRequire(folder + '/')('openai')
const client = new OpenAI({ baseURL: url + '/v1', apiKey: token, maxRetries: 0 })
const model = 'emoji-clip'
const png = fs.readFileSync('tests/golden/emoji-clip/samples/1f989.png').toString('base64')
const picture = 'data:image/png;base64,' + png

function cosine (a, b) {
  const dot = (x, y) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  return dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b))
}

// Without encoding_format the client asks for base64 and decodes it.
const texts = ['a picture of owl', 'a red heart', 'a dog']
const answer = await client.embeddings.create({ model, input: texts, user: 'somebody' })
const numbers = await client.embeddings.create({ model, input: texts, encoding_format: 'float', dimensions: 128 })
assert.deepEqual(answer.data.map(row => row.index), [0, 1, 2])
assert.equal(answer.model, model)
assert.equal(answer.object, 'list')
assert.deepEqual(answer.usage, numbers.usage)
assert.ok(answer.usage.prompt_tokens >= 9 && answer.usage.total_tokens === answer.usage.prompt_tokens)
answer.data.forEach((row, i) => {
  assert.equal(row.embedding.length, 128)
  row.embedding.forEach((value, k) => assert.equal(value, Math.fround(numbers.data[i].embedding[k])))
})
const shown = (await client.embeddings.create({ model, input: picture })).data[0].embedding
assert.ok(cosine(shown, answer.data[0].embedding) > cosine(shown, answer.data[1].embedding) + 0.2)

// As many texts as OpenAI takes, and one more.
const many = Array.from({ length: 2048 }, (_, i) => `number ${i}`)
const all = await client.embeddings.create({ model, input: many })
assert.equal(all.data.length, 2048)
const last = (await client.embeddings.create({ model, input: many[2047] })).data[0].embedding
assert.ok(cosine(all.data[2047].embedding, last) > 0.99999)
await assert.rejects(client.embeddings.create({ model, input: [...many, 'more'] }),
  error => error instanceof OpenAI.BadRequestError && error.param === 'input' && error.type === 'invalid_request_error')

const models = []
for await (const entry of client.models.list()) models.push(entry.id)
assert.deepEqual(models, [model, 'an/alias'])
assert.equal((await client.models.retrieve('an/alias')).id, 'an/alias')

// Errors are of the client's own classes.
const missing = error => error instanceof OpenAI.NotFoundError && error.code === 'model_not_found' &&
  error.param === 'model'
await assert.rejects(client.models.retrieve('no/model'), missing)
await assert.rejects(client.embeddings.create({ model: 'text-embedding-3-small', input: 'a' }), missing)
await assert.rejects(client.embeddings.create({ model, input: 'a', dimensions: 64 }),
  error => error instanceof OpenAI.BadRequestError && error.param === 'dimensions' && /128/.test(error.message))
await assert.rejects(client.embeddings.create({ model, input: 'data:image/png;base64,AAAA' }),
  error => error instanceof OpenAI.UnprocessableEntityError && /input 0: unknown kind of file/.test(error.message))
await assert.rejects(new OpenAI({ baseURL: url + '/v1', apiKey: 'wrong' }).models.list(),
  error => error instanceof OpenAI.AuthenticationError && error.code === 'invalid_api_key')

// A client that goes away does no harm.
const abort = new AbortController()
setTimeout(() => abort.abort(), 20)
await assert.rejects(client.embeddings.create({ model, input: many }, { signal: abort.signal }), OpenAI.APIUserAbortError)

// A busy server says when to come again, which the client does by itself.
const statuses = []
async function note (...request) {
  const response = await fetch(...request)
  statuses.push(response.status)
  if (response.status === 503) assert.equal(response.headers.get('retry-after'), '1')
  return response
}
const patient = new OpenAI({ baseURL: busyUrl + '/v1', apiKey: 'any', maxRetries: 1000, fetch: note })
const results = await Promise.all(texts.map(text => patient.embeddings.create({ model, input: Array(200).fill(text) })))
assert.deepEqual(results.map(result => result.data.length), [200, 200, 200])
assert.ok(statuses.includes(503), 'nothing was refused')
await assert.rejects(Promise.all([...texts, ...texts, ...texts, ...texts].map(text => patient.embeddings.create(
  { model, input: Array(200).fill(text) }, { maxRetries: 0 }))),
error => error instanceof OpenAI.InternalServerError && error.status === 503 && error.type === 'server_error')
