import { readFileSync } from 'node:fs'

/** A fenced block of a Markdown file. */
export interface Block {
  readonly file: string
  /** The line of the file on which the code begins, counted from 1. */
  readonly line: number
  readonly language: string
  readonly code: string
  /** What the HTML comment above it says: `<!-- run: express -->` is `{ run: 'express' }`. */
  readonly marks: Readonly<Record<string, string>>
}

/** Everything between fences, with the mark that stands above it, blank lines aside. */
export function blocksOf(file: string): Block[] {
  const lines = readFileSync(file, 'utf8').split(/\r?\n/)
  const blocks: Block[] = []
  let marks: Record<string, string> = {}
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at]!
    const mark = /^\s*<!--\s*(\w+):\s*(.*?)\s*-->\s*$/.exec(line)
    const fence = /^(\s*)(`{3,}|~{3,})\s*(\S*)/.exec(line)
    if (mark !== null) marks[mark[1]!] = mark[2]!
    else if (fence !== null) {
      const [, indent, ticks, language] = fence
      const start = at + 1
      while (++at < lines.length && lines[at]!.trim() !== ticks);
      const code = lines.slice(start, at).map((text) => text.slice(indent!.length))
      blocks.push({
        file,
        line: start + 1,
        language: language!,
        code: code.join('\n') + '\n',
        marks,
      })
      marks = {}
    } else if (line.trim() !== '') marks = {}
  }
  return blocks
}

/** The Markdown without its fenced blocks, line by line; their lines are empty. */
export function proseOf(file: string): string[] {
  let inside = false
  return readFileSync(file, 'utf8')
    .split(/\r?\n/)
    .map((line) => {
      const fence = /^\s*(`{3,}|~{3,})/.test(line)
      if (fence) inside = !inside
      return inside || fence ? '' : line
    })
}
