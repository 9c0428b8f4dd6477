// The page: its schema, and how it is put together out of what the services said.

import { names } from './settings.js'

const text = { type: 'string' }
const textOrNull = { type: 'string', nullable: true }
const number = { type: 'number' }

const object = (properties, more = {}) => ({ type: 'object', properties, ...more })
const source = object({ state: text, as_of: textOrNull, reason: textOrNull })

export const pageSchema = object({
  info: object({ sku_id: text, name: text, description: text }),
  price: object({ sku_id: text, price: number, original_price: number }, { nullable: true }),
  stock: object({ sku_id: text, quantity: { type: 'integer' }, available: { type: 'boolean' } }, { nullable: true }),
  meta: object({ complete: { type: 'boolean' }, sources: object({ info: source, price: source, stock: source }) })
})

export const schema = {
  params: object({ sku: { type: 'string', pattern: '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$' } }),
  response: { 200: pageSchema }
}

// Answers: { value } or { fault } for each of the names, in their order.
export async function gather (ask, sku) {
  return Promise.all(names.map((name) => ask[name](sku).then(
    (value) => ({ value, fault: null }),
    (fault) => ({ value: null, fault })
  )))
}

// The page cannot be without info.
export function statusOf ([info]) {
  if (info.fault === null) return 200
  return { not_found: 404, timeout: 504 }[info.fault.reason] ?? 502
}

export function pageOf (answers) {
  const [info, price, stock] = answers
  return {
    info: info.value.part,
    price: price.value?.part ?? null,
    stock: stock.value?.part ?? null,
    meta: {
      complete: price.fault === null && stock.fault === null,
      sources: { info: state(info), price: state(price), stock: state(stock) }
    }
  }
}

function state ({ value, fault }) {
  if (fault === null) return { state: 'ok', as_of: value.asOf, reason: null }
  return { state: 'missing', as_of: null, reason: fault.reason }
}
