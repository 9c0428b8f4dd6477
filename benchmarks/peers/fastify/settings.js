// What the starter says in the environment.

const read = (name) => JSON.parse(process.env[name])

export const names = ['info', 'price', 'stock']
export const port = Number(process.env.PORT)
export const single = read('SINGLE') // name: URL with {sku}
export const bulk = read('BULK') // name: URL with {skus}, or null: there are none
export const fresh = read('FRESH') // name: seconds
