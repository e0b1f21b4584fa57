/** What the broker says of a record's place in a transaction. */
export interface RecordContext {
  readonly offset: bigint
  readonly producer: string
  readonly transactional: boolean
  /** The end of a transaction, written by the broker. No message. */
  readonly control: boolean
  readonly key: Buffer | null
}

/** The first offset of an aborted transaction. A control record marks its end. */
export interface AbortedTransaction {
  readonly producer: string
  readonly first: bigint
}

/**
 * Gives a test for the records of one answer: which of them are messages. The broker also sends the
 * records of aborted transactions, with a list of where each began.
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
    // The key has two bytes for a version and two for the outcome, which is 0 for aborted.
    if (key !== null && key.length >= 4 && key.readInt16BE(2) === 0) dead.delete(producer)
    return false
  }
}
