/**
 * Finds the offsets that are missing in what was fetched of one partition. Kafka gives every record an
 * offset, a control record too, and leaves none out: one that nothing has was removed by compaction.
 */
export class Offsets {
  /** Where messages are missing: before each of these offsets. */
  readonly holes: bigint[] = []

  /** @param next The offset that comes next, which is that of the fetch at first. */
  constructor(private next: bigint) {}

  /** Reading has come to this offset. */
  reached(offset: bigint): void {
    if (offset > this.next) this.holes.push(offset)
  }

  /** A record of any kind. */
  record(offset: bigint): void {
    this.reached(offset)
    if (offset >= this.next) this.next = offset + 1n
  }
}
