/** What the broker says of a record's place in a transaction. */
export interface RecordContext {
  readonly offset: bigint
  readonly producer: string
  readonly transactional: boolean
  /** The end of a transaction, written by the broker. No message. */
  readonly control: boolean
  readonly key: Buffer | null
}

/** Where an aborted transaction begins. Where it ends is said by a control record. */
export interface AbortedTransaction {
  readonly producer: string
  readonly first: bigint
}

/**
 * Tells the records of one answer that are messages from those that are not: the broker sends
 * what was aborted too, with a list of where it began.
 */
export function messageFilter(
  aborted: readonly AbortedTransaction[],
): (record: RecordContext) => boolean {
  const ahead = [...aborted].sort((a, b) => (a.first < b.first ? -1 : 1))
  const dead = new Set<string>()
  return ({ offset, producer, transactional, control, key }) => {
    while (ahead[0] !== undefined && ahead[0].first <= offset) {
      dead.add((ahead.shift() as AbortedTransaction).producer)
    }
    if (!control) return !(transactional && dead.has(producer))
    // Two bytes of a version, then two of what became of it: 0 is aborted.
    if (key !== null && key.length >= 4 && key.readInt16BE(2) === 0) dead.delete(producer)
    return false
  }
}
