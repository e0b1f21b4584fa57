import type { SequenceLedger } from './sequence-ledger.js'

/** One promise, and what a run has shown of it. */
export interface Row {
  promise: string
  /** How it was tried. */
  how: string
  figure: string
  /** What did not hold; nothing, if all did. */
  problems: string[]
  /** Why it was not tried, if it was not. */
  leftOut?: string
}

/** Collects what does not hold. */
export class Trial {
  readonly problems: string[] = []

  must(holds: boolean, words: string): void {
    if (!holds) this.problems.push(words)
  }

  /** The promise itself, as the checking clients saw it. */
  mustBeWhole(ledger: SequenceLedger): void {
    const { silent, double, disorder, tail, other } = ledger.violations
    this.must(silent === 0, `${silent} messages were lost in silence`)
    this.must(double === 0, `${double} messages came twice`)
    this.must(disorder === 0, `${disorder} messages came out of order`)
    this.must(tail === 0, `${tail} clients never got the newest message of a topic`)
    this.must(other === 0, `${other} other violations`)
    this.problems.push(...ledger.words)
  }
}

export function seconds(milliseconds: number): string {
  return `${(milliseconds / 1_000).toFixed(milliseconds < 10_000 ? 2 : 1)} s`
}

export function mebibytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MiB`
}

/** A whole number with its thousands apart. */
export function whole(count: number): string {
  return count.toLocaleString('en')
}

/** The counts that matter most, in words. */
export function wholeness(ledger: SequenceLedger): string {
  const { silent, double, disorder, tail } = ledger.violations
  return (
    `${whole(silent + tail)} silent losses, ${whole(double)} doubles, ${whole(disorder)} out of ` +
    `order in ${whole(ledger.received)} deliveries`
  )
}
