import type { RabbitMessage } from './connection.js'

/** The types of exchange whose routing this driver can repeat. */
export type ExchangeType = 'direct' | 'topic' | 'fanout'

/**
 * The bindings of one queue, to find again the ones that a message came by: RabbitMQ puts it into
 * the queue once, however many of them fit, and does not say which.
 */
export interface Routes<T> {
  add(routingKey: string, item: T): void
  delete(routingKey: string): void
  match(message: RabbitMessage): Iterable<T>
}

export function routesFor<T>(type: ExchangeType): Routes<T> {
  if (type === 'topic') return new PatternRoutes()
  return type === 'direct' ? new ExactRoutes() : new AllRoutes()
}

/** Publishers may name further routing keys in this header, which RabbitMQ goes by as well. */
function keysOf({ fields, properties }: RabbitMessage): string[] {
  const copies: unknown = properties.headers?.['CC']
  if (!Array.isArray(copies)) return [fields.routingKey]
  return [fields.routingKey, ...copies.filter((key) => typeof key === 'string')]
}

class ExactRoutes<T> implements Routes<T> {
  readonly #items = new Map<string, T>()

  add(routingKey: string, item: T): void {
    this.#items.set(routingKey, item)
  }

  delete(routingKey: string): void {
    this.#items.delete(routingKey)
  }

  match(message: RabbitMessage): Iterable<T> {
    const found = new Set<T>()
    for (const key of keysOf(message)) {
      const item = this.#items.get(key)
      if (item !== undefined) found.add(item)
    }
    return found
  }
}

class AllRoutes<T> implements Routes<T> {
  readonly #items = new Map<string, T>()

  add(routingKey: string, item: T): void {
    this.#items.set(routingKey, item)
  }

  delete(routingKey: string): void {
    this.#items.delete(routingKey)
  }

  match(): Iterable<T> {
    return [...this.#items.values()]
  }
}

class Node<T> {
  readonly next = new Map<string, Node<T>>()
  item: T | undefined
  constructor(readonly word: string) {}
}

/**
 * Patterns of words with dots between them: `*` stands for one word, `#` for any number of them.
 * A tree of words, which a routing key walks along all branches at once that fit its words. What a
 * message costs does not grow with the patterns that do not fit it.
 */
class PatternRoutes<T> implements Routes<T> {
  readonly #root = new Node<T>('')

  add(pattern: string, item: T): void {
    let node = this.#root
    for (const word of wordsOf(pattern)) {
      let next = node.next.get(word)
      if (next === undefined) node.next.set(word, (next = new Node(word)))
      node = next
    }
    node.item = item
  }

  delete(pattern: string): void {
    const path = [this.#root]
    for (const word of wordsOf(pattern)) {
      const next = path.at(-1)?.next.get(word)
      if (next === undefined) return
      path.push(next)
    }
    const last = path.at(-1) as Node<T>
    last.item = undefined
    for (let depth = path.length - 1; depth > 0; depth--) {
      const node = path[depth] as Node<T>
      if (node.item !== undefined || node.next.size > 0) return
      path[depth - 1]?.next.delete(node.word)
    }
  }

  match(message: RabbitMessage): Iterable<T> {
    const found = new Set<T>()
    for (const key of keysOf(message)) this.#walk(wordsOf(key), found)
    return found
  }

  #walk(words: string[], found: Set<T>): void {
    let places = new Set<Node<T>>()
    reach(places, this.#root)
    for (const word of words) {
      const after = new Set<Node<T>>()
      for (const place of places) {
        if (place.word === '#') reach(after, place)
        for (const step of [word, '*']) reach(after, place.next.get(step))
      }
      places = after
    }
    for (const { item } of places) if (item !== undefined) found.add(item)
  }
}

/** Reaches a place, and every place that follows it by a `#`, which may stand for no word at all. */
function reach<T>(places: Set<Node<T>>, node: Node<T> | undefined): void {
  for (; node !== undefined && !places.has(node); node = node.next.get('#')) places.add(node)
}

function wordsOf(key: string): string[] {
  return key === '' ? [] : key.split('.')
}
