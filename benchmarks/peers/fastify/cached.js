// Parts are kept for their fresh time, and pages until the first of their parts is due; both least recently used.

import { hash, randomUUID } from 'node:crypto'
import Fastify from 'fastify'
import { LRUCache } from 'lru-cache'
import { gather, pageOf, schema, statusOf } from './page.js'
import { bulk, fresh, names, port } from './settings.js'
import { batched, one } from './upstream.js'

const MOST = 100_000
const question = bulk === null ? one : batched

function remembered (name) {
  const load = question(name)
  const lasting = fresh[name] * 1000
  return new LRUCache({
    max: MOST,
    ttl: Math.max(1, lasting), // milliseconds; 0 would be for ever
    ignoreFetchAbort: true,
    fetchMethod: async (sku) => {
      const freshUntil = performance.now() + lasting
      return { ...await load(sku), freshUntil }
    }
  })
}

const parts = Object.fromEntries(names.map((name) => [name, remembered(name)]))
const ask = Object.fromEntries(names.map((name) => [name, (sku) => parts[name].fetch(sku)]))
const pages = new LRUCache({ max: MOST })

const app = Fastify({ logger: false, requestIdHeader: 'x-request-id', genReqId: () => randomUUID() })

app.get('/api/v1/products/:sku', { schema }, (request, reply) => {
  const kept = pages.get(request.params.sku)
  if (kept === undefined) return asked(request, reply)
  return answer(request, reply, kept, hits(kept), ', info;dur=0.0, price;dur=0.0, stock;dur=0.0')
})

async function asked (request, reply) {
  const { sku } = request.params
  const known = names.map((name) => parts[name].has(sku))
  const began = performance.now()
  const answers = await gather(ask, sku)
  const waited = (performance.now() - began).toFixed(1)
  const page = rendered(reply, answers)
  if (page === null) return refuse(request, reply, answers)
  if (page.etag !== null) keep(sku, page)
  const how = names.map((name, index) => `bff-${name}; ${known[index] ? 'hit' : outcome(answers[index])}`).join(', ')
  const timing = names.map((name, index) => `, ${name};dur=${known[index] ? '0.0' : waited}`).join('')
  return answer(request, reply, page, how, timing)
}

function outcome ({ fault }) {
  return fault === null ? 'fwd=miss; fwd-status=200; stored' : `fwd=miss; detail=${fault.reason}`
}

// A page that lacks a part has no ETag, and is not kept.
function rendered (reply, answers) {
  if (statusOf(answers) !== 200) return null
  const body = reply.serialize(pageOf(answers))
  if (answers.some(({ fault }) => fault !== null)) return { body, etag: null, due: null }
  const members = body.slice(0, body.lastIndexOf(',"meta":'))
  return { body, etag: `W/"${hash('sha1', members)}"`, due: answers.map(({ value }) => value.freshUntil) }
}

function keep (sku, page) {
  const ttl = Math.floor(Math.min(...page.due) - performance.now())
  if (ttl > 0) pages.set(sku, page, { ttl })
}

function left (due) {
  return Math.floor((due - performance.now()) / 1000)
}

function hits ({ due: [info, price, stock] }) {
  return `bff-info; hit; ttl=${left(info)}, bff-price; hit; ttl=${left(price)}, bff-stock; hit; ttl=${left(stock)}`
}

function lasting (due) {
  const seconds = left(Math.min(...due))
  return seconds > 0 ? `public, max-age=${seconds}` : 'no-cache'
}

function answer (request, reply, page, how, timing) {
  reply.headers({
    'x-request-id': request.id,
    vary: 'Accept, Accept-Encoding',
    'cache-status': how,
    'server-timing': `page;dur=${reply.elapsedTime.toFixed(1)}${timing}`,
    'cache-control': page.etag === null ? 'no-store' : lasting(page.due)
  })
  if (page.etag !== null) {
    reply.header('etag', page.etag)
    if (request.headers['if-none-match'] === page.etag) return reply.code(304).send()
  }
  return reply.type('application/json').send(page.body)
}

function refuse (request, reply, answers) {
  reply.headers({ 'x-request-id': request.id, 'cache-control': 'no-store' })
  return reply.code(statusOf(answers)).send({ error: `info: ${answers[0].fault.reason}` })
}

process.once('SIGTERM', () => app.close())
await app.listen({ host: '127.0.0.1', port, backlog: 2048 })
