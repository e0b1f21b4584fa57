import { readFile, writeFile } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'

/** One promise, how it was tried, and what came of it. */
export interface Row {
  promise: string
  tried: string
  figure: string
  holds: boolean
}

/** A place in the plot: memory and connecting against the number of clients. */
export interface Point {
  clients: number
  kilobytesEach: number
}

const DOCS = join(import.meta.dirname, '../../docs')
const [BEGIN, END] = ['<!-- load: begin -->', '<!-- load: end -->']

function table(rows: Row[]): string {
  const lines = rows.map(
    ({ promise, tried, figure, holds }) =>
      `| ${promise} | ${tried} | ${figure} | ${holds ? 'holds' : '**does not hold**'} |`,
  )
  return ['| promise | how tried | figure | |', '| --- | --- | --- | --- |', ...lines].join('\n')
}

export function printTable(rows: Row[]): void {
  console.log(`\n${table(rows)}\n`)
}

/** Puts the table into docs/reliability.md, between its marks, and draws docs/load.svg. */
export async function writeDocs(rows: Row[], points: Point[]): Promise<void> {
  const page = join(DOCS, 'reliability.md')
  const text = await readFile(page, 'utf8')
  const machine = `Node ${process.versions.node}, ${cpus().length} cores, all on one machine.`
  const made = `${BEGIN}\n\n${machine}\n\n${table(rows)}\n\n![Memory of a connection](load.svg)\n\n`
  const before = text.slice(0, text.indexOf(BEGIN))
  await writeFile(page, before + made + text.slice(text.indexOf(END)))
  await writeFile(join(DOCS, 'load.svg'), plot(points))
}

/** Bars: resident memory for each connection at each number of clients. */
function plot(points: Point[]): string {
  const [width, height, base] = [560, 260, 200]
  const highest = Math.max(...points.map(({ kilobytesEach }) => kilobytesEach))
  const bars = points.map(({ clients, kilobytesEach }, index) => {
    const tall = (kilobytesEach / highest) * 150
    const x = 60 + index * 170
    return [
      `<rect x="${x}" y="${base - tall}" width="90" height="${tall}" fill="#5b5bd6"/>`,
      `<text x="${x + 45}" y="${base - tall - 8}">${kilobytesEach.toFixed(1)} kB</text>`,
      `<text x="${x + 45}" y="${base + 22}">${clients.toLocaleString('en-US')} clients</text>`,
    ].join('\n')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="14" text-anchor="middle">
<rect width="${width}" height="${height}" fill="#fff"/>
<text x="${width / 2}" y="26">Resident memory of the server for each connection</text>
<line x1="30" y1="${base}" x2="${width - 30}" y2="${base}" stroke="#888"/>
${bars.join('\n')}
</svg>
`
}
