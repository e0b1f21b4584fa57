import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { whole } from '../kit/row.js'

/** What was measured with so many clients. Times are in milliseconds. */
export interface Point {
  clients: number
  /** Resident memory for each connection. */
  kilobytes: number
  p50: number
  p99: number
  connecting: number
  loopDelay: number
}

interface Series {
  title: string
  unit: string
  lines: { name: string; color: string; of: (point: Point) => number }[]
}

const CHARTS: Series[] = [
  {
    title: 'Resident memory for each connection',
    unit: 'kB',
    lines: [{ name: 'memory', color: '#5b5bd6', of: ({ kilobytes }) => kilobytes }],
  },
  {
    title: 'From publishing to the browser',
    unit: 'ms',
    lines: [
      { name: 'p99', color: '#c2410c', of: ({ p99 }) => p99 },
      { name: 'p50', color: '#0f766e', of: ({ p50 }) => p50 },
    ],
  },
]

const [WIDTH, HEIGHT] = [400, 280]
/** The plane on which a chart's lines are drawn. */
const PLANE = { left: 50, right: 355, top: 50, bottom: 230 }

/** Draws docs/load.svg. */
export async function writePlot(points: readonly Point[]): Promise<void> {
  const path = fileURLToPath(new URL('../../docs/load.svg', import.meta.url))
  await writeFile(path, plot(points))
}

function plot(points: readonly Point[]): string {
  const charts = CHARTS.map(
    (series, index) =>
      `<g transform="translate(${index * WIDTH} 0)">\n${chart(series, points)}\n</g>`,
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${CHARTS.length * WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
${charts.join('\n')}
</svg>
`
}

function chart({ title, unit, lines }: Series, points: readonly Point[]): string {
  const { left, right, top, bottom } = PLANE
  const mostClients = Math.max(...points.map(({ clients }) => clients))
  const highest = Math.max(...lines.flatMap(({ of }) => points.map(of)))
  const x = (clients: number) => Math.round(left + (clients / mostClients) * (right - left))
  const y = (value: number) => Math.round(bottom - (value / (highest * 1.15)) * (bottom - top))
  const text = (at: [number, number], words: string, rest = 'text-anchor="middle"') =>
    `<text x="${at[0]}" y="${at[1]}" ${rest}>${words}</text>`
  const parts = [
    text([(left + right) / 2, 24], `${title}, ${unit}`, 'text-anchor="middle" font-size="14"'),
    `<path d="M${left} ${top}V${bottom}H${right}" fill="none" stroke="#888"/>`,
    text([(left + right) / 2, bottom + 38], 'clients'),
    text([left - 6, bottom + 4], '0', 'text-anchor="end"'),
    ...points.map(({ clients }) => text([x(clients), bottom + 18], whole(clients))),
  ]
  for (const { name, color, of } of lines) {
    const places = points.map((point) => `${x(point.clients)},${y(of(point))}`)
    parts.push(
      `<polyline points="${places.join(' ')}" fill="none" stroke="${color}" stroke-width="2"/>`,
    )
    for (const point of points) {
      const [cx, cy] = [x(point.clients), y(of(point))]
      parts.push(`<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`)
      parts.push(text([cx, cy - 8], of(point).toFixed(1), `text-anchor="middle" fill="${color}"`))
    }
    if (lines.length > 1) {
      const last = points.at(-1)!
      parts.push(text([right + 8, y(of(last)) + 4], name, `fill="${color}"`))
    }
  }
  return parts.join('\n')
}
