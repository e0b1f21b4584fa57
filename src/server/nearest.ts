/** The known name that a mistyped one is nearest to, if one is near. */
export function nearest(name: string, known: Iterable<string>): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[-_]/g, '')
  let best: string | undefined
  let least = Math.max(1, Math.floor(name.length / 3)) + 1
  for (const candidate of known) {
    const edits = distance(plain(name), plain(candidate))
    if (edits < least) [best, least] = [candidate, edits]
  }
  return best
}

/** How many letters are added, left out, changed or swapped. */
function distance(from: string, to: string): number {
  // A name of a whole page is near to nothing, and must not take a page's square of steps.
  if (Math.abs(from.length - to.length) > 8) return Infinity
  let before: number[] = []
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const next = [i]
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1]
      let edits = Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (same ? 0 : 1))
      const isSwap = i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]
      if (isSwap) edits = Math.min(edits, before[j - 2]! + 1)
      next.push(edits)
    }
    ;[before, row] = [row, next]
  }
  return row[to.length]!
}
