/** Whether there is a subject that fits both of these, which may have wildcards. */
export function overlaps(a: string, b: string): boolean {
  const [left, right] = [a.split('.'), b.split('.')]
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const [one, other] = [left[at], right[at]]
    if (one === undefined || other === undefined) return false
    if (one === '>' || other === '>') return true
    if (one !== other && one !== '*' && other !== '*') return false
  }
  return true
}

interface Node<T> {
  readonly below: Map<string, Node<T>>
  readonly here: Set<T>
}

/** Finds what was added under a subject that the subject of a message fits, by wildcard or not. */
export class SubjectTree<T> {
  /** Subjects without wildcards, which are most: one look in a map, however many there are. */
  readonly #exact = new Map<string, Set<T>>()
  readonly #root: Node<T> = { below: new Map(), here: new Set() }

  add(subject: string, it: T): void {
    if (!hasWildcard(subject)) {
      const there = this.#exact.get(subject)
      if (there) there.add(it)
      else this.#exact.set(subject, new Set([it]))
      return
    }
    let node = this.#root
    for (const token of subject.split('.')) {
      let next = node.below.get(token)
      if (next === undefined) {
        next = { below: new Map(), here: new Set() }
        node.below.set(token, next)
      }
      node = next
    }
    node.here.add(it)
  }

  delete(subject: string, it: T): void {
    if (hasWildcard(subject)) return remove(this.#root, subject.split('.'), 0, it)
    const there = this.#exact.get(subject)
    there?.delete(it)
    if (there?.size === 0) this.#exact.delete(subject)
  }

  /** Everything whose subject this one fits. The list is the caller's. */
  match(subject: string): T[] {
    const found = [...(this.#exact.get(subject) ?? [])]
    if (this.#root.below.size > 0) collect(this.#root, subject.split('.'), 0, found)
    return found
  }
}

function hasWildcard(subject: string): boolean {
  return /(^|\.)[*>](\.|$)/.test(subject)
}

function collect<T>(node: Node<T>, tokens: readonly string[], at: number, found: T[]): void {
  if (at === tokens.length) {
    found.push(...node.here)
    return
  }
  found.push(...(node.below.get('>')?.here ?? []))
  const [same, any] = [node.below.get(tokens[at] as string), node.below.get('*')]
  if (same) collect(same, tokens, at + 1, found)
  if (any) collect(any, tokens, at + 1, found)
}

function remove<T>(node: Node<T>, tokens: readonly string[], at: number, it: T): void {
  const token = tokens[at]
  if (token === undefined) {
    node.here.delete(it)
    return
  }
  const next = node.below.get(token)
  if (next === undefined) return
  remove(next, tokens, at + 1, it)
  if (next.here.size === 0 && next.below.size === 0) node.below.delete(token)
}
