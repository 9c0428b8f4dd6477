// Questions to the three services: one SKU each, or many at once.

import DataLoader from 'dataloader'
import { Pool } from 'undici'
import { bulk, single } from './settings.js'

const TIMEOUT_MS = 800
const CONNECTIONS = 256
const MOST_SKUS = 100

const valid = {
  info: (part) => typeof part.name === 'string',
  price: (part) => typeof part.price === 'number',
  stock: (part) => Number.isInteger(part.quantity) && typeof part.available === 'boolean'
}

export class Fault extends Error {
  constructor (reason) {
    super(reason)
    this.reason = reason
  }
}

function asFault (error) {
  if (error instanceof Fault) return error
  if (error.code === 'UND_ERR_HEADERS_TIMEOUT' || error.code === 'UND_ERR_BODY_TIMEOUT') return new Fault('timeout')
  return new Fault(error instanceof SyntaxError ? 'garbled' : 'unavailable')
}

function pooled (template) {
  const { origin, pathname, search } = new URL(template.replace(/\{skus?\}/, '__SKU__'))
  const [before, after] = (pathname + search).split('__SKU__')
  const pool = new Pool(origin, {
    connections: CONNECTIONS, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS, connect: { timeout: TIMEOUT_MS }
  })
  return async (sku) => {
    const { statusCode, body } = await pool.request({ method: 'GET', path: before + sku + after })
    if (statusCode === 200) return body.json()
    await body.dump()
    throw new Fault(statusCode === 404 ? 'not_found' : 'unavailable')
  }
}

function checked (name, sku, part) {
  if (part !== null && typeof part === 'object' && part.sku_id === sku && valid[name](part)) return part
  throw new Fault('garbled')
}

// The value and when its call began; what is thrown is a Fault.
export function one (name) {
  const get = pooled(single[name])
  return async (sku) => {
    const asOf = new Date().toISOString()
    try {
      return { part: checked(name, sku, await get(sku)), asOf }
    } catch (error) {
      throw asFault(error)
    }
  }
}

// Joins what is asked for in one turn of the event loop; dataloader's own schedule sees one request's questions only.
export function batched (name) {
  const get = pooled(bulk[name])
  const load = async (skus) => {
    const asOf = new Date().toISOString()
    try {
      const parts = new Map((await get([...new Set(skus)].join(','))).map((part) => [part?.sku_id, part]))
      return skus.map((sku) => found(name, sku, parts.get(sku), asOf))
    } catch (error) {
      return skus.map(() => asFault(error))
    }
  }
  const loader = new DataLoader(load, { cache: false, maxBatchSize: MOST_SKUS, batchScheduleFn: setImmediate })
  return (sku) => loader.load(sku)
}

function found (name, sku, part, asOf) {
  if (part === undefined) return new Fault('not_found')
  try {
    return { part: checked(name, sku, part), asOf }
  } catch (error) {
    return error
  }
}
