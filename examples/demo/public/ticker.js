const POINTS = 40
const SVG = 'http://www.w3.org/2000/svg'

/** The companies, with their last prices. */
export class Ticker {
  #rows = new Map()

  constructor({ element, companies }) {
    for (const { topic, symbol, name } of companies) {
      const row = makeRow(symbol, name)
      this.#rows.set(topic, row)
      element.append(row.item)
    }
  }

  has(topic) {
    return this.#rows.has(topic)
  }

  update(topic, { price, change }) {
    const row = this.#rows.get(topic)
    row.prices.push(price)
    if (row.prices.length > POINTS) row.prices.shift()
    row.price.textContent = price.toFixed(2)
    row.change.textContent = `${change < 0 ? '\u2212' : '+'}${Math.abs(change).toFixed(2)} %`
    row.change.className = `ticker-change ${change < 0 ? 'down' : 'up'}`
    row.line.setAttribute('points', points(row.prices))
  }

  /** A new client gets the last prices again. */
  clear() {
    for (const row of this.#rows.values()) row.prices.length = 0
  }
}

function points(prices) {
  const low = Math.min(...prices)
  const range = Math.max(...prices) - low || 1
  return prices
    .map((price, index) => {
      const x = ((POINTS - prices.length + index) / (POINTS - 1)) * 100
      const y = 26 - ((price - low) / range) * 24
      return `${x.toFixed(1)},${y.toFixed(1)}`
    })
    .join(' ')
}

function makeRow(symbol, name) {
  const element = (tag, className, text) => {
    const made = document.createElement(tag)
    made.className = className
    made.textContent = text
    return made
  }
  const item = document.createElement('li')
  const label = element('span', 'ticker-symbol', symbol)
  label.append(element('span', 'ticker-name', name))

  const spark = document.createElementNS(SVG, 'svg')
  spark.setAttribute('viewBox', '0 0 100 28')
  spark.setAttribute('preserveAspectRatio', 'none')
  spark.setAttribute('aria-hidden', 'true')
  const line = document.createElementNS(SVG, 'polyline')
  spark.append(line)

  const right = element('span', 'ticker-price', '')
  const price = element('span', '', '\u2013')
  const change = element('span', 'ticker-change', '\u2013')
  right.append(price, change)
  item.append(label, spark, right)
  return { item, line, price, change, prices: [] }
}
