import { COST_EACH, COST_TOPICS } from './cost-model.js'
import type { CostFit, CostPoint } from './cost-model.js'

interface Panel {
  title: string
  /** Of each point: where it lies, and where the line lies there. */
  measured: (point: CostPoint) => number
  line: (servers: number, clients: number) => number
}

const COLORS = ['#3b5bdb', '#e8590c', '#2b8a3e']
const [WIDTH, HEIGHT, LEFT, BASE, TALL, WIDE] = [400, 300, 60, 240, 180, 310]

/** Points that were measured and the lines of the fit, for 1, 2 and 3 servers. */
export function costPlot(points: readonly CostPoint[], fit: CostFit): string {
  const fanOut = (clients: number) => (clients * COST_EACH) / COST_TOPICS
  const panels: Panel[] = [
    {
      title: 'Memory of all servers, MB',
      measured: ({ memory }) => memory / 1e6,
      line: (servers, clients) => (servers * fit.memoryServer + clients * fit.memoryClient) / 1e6,
    },
    {
      title: 'Processor time for a message, ms',
      measured: ({ messageCpu, messages }) => messageCpu / messages / 1e3,
      line: (servers, clients) => (servers * fit.message + fanOut(clients) * fit.delivery) / 1e3,
    },
    {
      title: 'Processor time to come back, s',
      measured: ({ adoptCpu }) => adoptCpu / 1e6,
      line: (servers, clients) => (clients * (servers === 1 ? fit.comeBack : fit.adopt)) / 1e6,
    },
  ]
  const drawn = panels.map((panel, index) => draw(panel, points, index * WIDTH))
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH * panels.length} ${HEIGHT}" font-family="sans-serif" font-size="12">
<rect width="${WIDTH * panels.length}" height="${HEIGHT}" fill="#fff"/>
${drawn.join('\n')}
</svg>
`
}

function draw({ title, measured, line }: Panel, points: readonly CostPoint[], at: number): string {
  const counts = [...new Set(points.map(({ servers }) => servers))]
  const most = Math.max(...points.map(({ clients }) => clients))
  const highest = Math.max(...points.map(measured), ...counts.map((it) => line(it, most))) || 1
  const x = (clients: number) => (at + LEFT + (clients / most) * WIDE).toFixed(1)
  const y = (value: number) => (BASE - (Math.max(0, value) / highest) * TALL).toFixed(1)
  const parts = [
    `<text x="${at + LEFT}" y="24" font-size="14">${title}</text>`,
    `<path d="M${at + LEFT} ${BASE - TALL}V${BASE}H${at + LEFT + WIDE}" fill="none" stroke="#888"/>`,
    `<text x="${at + LEFT - 6}" y="${BASE - TALL + 4}" text-anchor="end">${round(highest)}</text>`,
    `<text x="${at + LEFT - 6}" y="${BASE}" text-anchor="end">0</text>`,
    `<text x="${at + LEFT + WIDE}" y="${BASE + 18}" text-anchor="end">${most.toLocaleString('en')} clients</text>`,
  ]
  for (const [index, servers] of counts.entries()) {
    const color = COLORS[index % COLORS.length]
    const ends = `M${x(0)} ${y(line(servers, 0))}L${x(most)} ${y(line(servers, most))}`
    parts.push(`<path d="${ends}" fill="none" stroke="${color}"/>`)
    for (const point of points.filter((it) => it.servers === servers)) {
      parts.push(
        `<circle cx="${x(point.clients)}" cy="${y(measured(point))}" r="4" fill="${color}"/>`,
      )
    }
    const words = `${servers} server${servers > 1 ? 's' : ''}`
    parts.push(
      `<text x="${at + LEFT + index * 80}" y="${BASE + 40}" fill="${color}">● ${words}</text>`,
    )
  }
  return parts.join('\n')
}

const round = (value: number) => (value >= 10 ? value.toFixed(0) : value.toFixed(1))
