import type { ServerResponse } from 'node:http'

/** Counts how often anything of a response is read, of its own and of what it inherits. */
export function countReads(response: ServerResponse): { readonly reads: number; names: string[] } {
  const counted = { reads: 0, names: [] as string[] }
  const note = (name: string | symbol) => {
    counted.reads++
    counted.names.push(String(name))
  }
  for (const name of Reflect.ownKeys(response)) {
    const { value, writable, configurable } = Object.getOwnPropertyDescriptor(response, name)!
    if (!writable || !configurable) continue
    let current: unknown = value
    Object.defineProperty(response, name, {
      configurable: true,
      get: () => {
        note(name)
        return current
      },
      set: (next) => (current = next),
    })
  }
  const inherited = Object.getPrototypeOf(response) as object
  const counting = new Proxy(inherited, {
    get(target, name, receiver) {
      note(name)
      return Reflect.get(target, name, receiver) as unknown
    },
  })
  Object.setPrototypeOf(response, counting)
  return counted
}
