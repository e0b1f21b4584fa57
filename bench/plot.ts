import { digits } from './tables.js'

/** A bar: how long, and between what its rounds lay. */
export interface Bar {
  label: string
  value: number
  lowest: number
  highest: number
  /** Whether it is ours. */
  ours: boolean
}

export interface Panel {
  title: string
  bars: readonly Bar[]
}

/** A line through points, both of whose numbers are positive. */
export interface Line {
  label: string
  points: readonly { x: number; y: number }[]
  ours: boolean
}

const WIDTH = 720
const LEFT = 170
const RIGHT = 70

/** Colours that are told apart in both light and dark, also by those who confuse red and green. */
const STYLE = `
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; font-size: 15px; }
.quiet { fill: #59636e; }
.bar { fill: #a8b1bb; }
.ours { fill: #0b6bcb; }
.whisker, .axis { stroke: #59636e; stroke-width: 1; fill: none; }
.grid { stroke: #d1d9e0; stroke-width: 1; }
.line { fill: none; stroke-width: 2; }
.s0 { stroke: #0b6bcb; } .s1 { stroke: #6e7781; } .s2 { stroke: #b35900; } .s3 { stroke: #8250df; }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; }
  .quiet { fill: #9198a1; }
  .bar { fill: #59636e; }
  .ours { fill: #4c9be8; }
  .whisker, .axis { stroke: #9198a1; }
  .grid { stroke: #3d444d; }
  .s0 { stroke: #4c9be8; } .s1 { stroke: #9198a1; } .s2 { stroke: #f0883e; } .s3 { stroke: #bc8cff; }
}`

function escape(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`)
}

function svg(height: number, title: string, parts: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escape(title)}">`,
    `<style>${STYLE}\n</style>`,
    `<text class="title" x="12" y="24">${escape(title)}</text>`,
    ...parts,
    '</svg>\n',
  ].join('\n')
}

function text(x: number, y: number, content: string, attributes = ''): string {
  return `<text x="${round(x)}" y="${round(y)}" ${attributes}>${escape(content)}</text>`
}

const round = (value: number) => Number(value.toFixed(1))

/** Bars in panels below each other, all on one scale within a panel. */
export function barChart(title: string, panels: readonly Panel[]): string {
  const parts: string[] = []
  let y = 44
  for (const panel of panels) {
    parts.push(text(12, y + 8, panel.title, 'class="quiet"'))
    y += 22
    const longest = Math.max(...panel.bars.map(({ highest }) => highest))
    const scale = (value: number) => (value / longest) * (WIDTH - LEFT - RIGHT)
    for (const { label, value, lowest, highest, ours } of panel.bars) {
      const middle = y + 9
      parts.push(
        text(LEFT - 8, y + 14, label, 'text-anchor="end"'),
        `<rect class="${ours ? 'ours' : 'bar'}" x="${LEFT}" y="${y}" width="${round(scale(value))}" height="18" rx="2"/>`,
        `<path class="whisker" d="M${round(LEFT + scale(lowest))} ${middle}H${round(LEFT + scale(highest))}"/>`,
        text(LEFT + scale(highest) + 6, y + 14, digits(value)),
      )
      y += 24
    }
    y += 14
  }
  return svg(y, title, parts)
}

/** Lines over an axis of x by powers, the y axis from zero. */
export function lineChart(title: string, axes: string, lines: readonly Line[]): string {
  const [top, bottom, left, right] = [64, 320, 56, 560]
  const xs = [...new Set(lines.flatMap(({ points }) => points.map(({ x }) => x)))].sort(
    (a, b) => a - b,
  )
  const highest = Math.max(...lines.flatMap(({ points }) => points.map(({ y }) => y)))
  const step = stepOf(highest)
  const ceiling = Math.ceil(highest / step) * step
  const [first, last] = [Math.log(xs[0]!), Math.log(xs.at(-1)!)]
  const at = (x: number) => left + ((Math.log(x) - first) / (last - first || 1)) * (right - left)
  const up = (y: number) => bottom - (y / ceiling) * (bottom - top)
  const parts = [text(12, 46, axes, 'class="quiet"')]
  for (let y = 0; y <= ceiling; y += step) {
    parts.push(
      `<path class="${y === 0 ? 'axis' : 'grid'}" d="M${left} ${round(up(y))}H${right}"/>`,
      text(left - 8, up(y) + 4, String(round(y)), 'text-anchor="end" class="quiet"'),
    )
  }
  for (const x of xs) {
    parts.push(text(at(x), bottom + 20, x.toLocaleString('en-US'), 'text-anchor="middle"'))
  }
  for (const [index, { label, points, ours }] of lines.entries()) {
    const path = points.map(({ x, y }) => `${round(at(x))} ${round(up(y))}`).join('L')
    parts.push(
      `<path class="line s${ours ? 0 : index % 4 || 1}" d="M${path}"><title>${escape(label)}</title></path>`,
    )
  }
  // Labels stand at the lines' ends, apart from each other, from the lowest line up.
  let room = Infinity
  for (const { label, points } of [...lines].sort(byLastPoint)) {
    const y = points.at(-1)!.y
    room = Math.min(up(y) + 4, room - 16)
    parts.push(text(right + 10, room, `${label} ${digits(y)}`))
  }
  return svg(352, title, parts)
}

function byLastPoint({ points: one }: Line, { points: other }: Line): number {
  return one.at(-1)!.y - other.at(-1)!.y
}

/** A round number that goes into the height some four times. */
function stepOf(highest: number): number {
  const power = 10 ** Math.floor(Math.log10(highest / 4))
  return [1, 2, 5, 10].map((factor) => factor * power).find((step) => highest / step <= 5)!
}
