// Every page asks its services, by bulk calls where there are URLs for them.

import Fastify from 'fastify'
import { gather, pageOf, schema, statusOf } from './page.js'
import { bulk, names, port } from './settings.js'
import { batched, one } from './upstream.js'

const question = bulk === null ? one : batched
const ask = Object.fromEntries(names.map((name) => [name, question(name)]))

const app = Fastify({ logger: false })

app.get('/api/v1/products/:sku', { schema }, async (request, reply) => {
  const answers = await gather(ask, request.params.sku)
  const status = statusOf(answers)
  if (status !== 200) return reply.code(status).send({ error: `info: ${answers[0].fault.reason}` })
  return pageOf(answers)
})

process.once('SIGTERM', () => app.close())
await app.listen({ host: '127.0.0.1', port, backlog: 2048 })
