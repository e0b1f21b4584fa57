/**
 * A place in a Streamer's numbering, as it travels in `id:` and `Last-Event-ID`:
 * `<epoch>-<number>`. The epoch names the numbering: after a restart numbers begin anew, and
 * number 7 of yesterday must not be taken for number 7 of today.
 */
const POSITION = /^(.+)-(0|[1-9]\d{0,15})$/

export function formatPosition(epoch: string, number: number): string {
  return `${epoch}-${number}`
}

/** The number that `text` names in this epoch, or undefined where it is malformed or foreign. */
export function parsePosition(epoch: string, text: string): number | undefined {
  const match = POSITION.exec(text)
  if (match === null || match[1] !== epoch) return undefined
  const number = Number(match[2])
  return Number.isSafeInteger(number) ? number : undefined
}
