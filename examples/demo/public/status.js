const number = new Intl.NumberFormat('en')
const byId = (id) => document.getElementById(id)
const seconds = (value) => `${value.toFixed(1)} s`
const count = (value, one, many) => `${number.format(value)} ${value === 1 ? one : many}`

const STATES = {
  connecting: 'Connecting',
  connected: 'Connected',
  reconnecting: 'Reconnecting',
  closed: 'Closed',
}

/** The upper panel in words and numbers. */
export class Status {
  #ledger
  #recovery
  #reconnects = 0
  #frame = 0

  constructor({ ledger, recovery }) {
    this.#ledger = ledger
    this.#recovery = recovery
    setInterval(() => this.#time(), 100)
  }

  state(state) {
    byId('state').dataset.state = state
    byId('state-text').textContent = STATES[state]
    this.#time()
  }

  client({ id, ttl }) {
    byId('client-id').textContent = id
    byId('client-id').title = id
    byId('ttl').textContent = `${number.format(ttl / 1_000)} s`
  }

  position(id) {
    byId('last-id').textContent = id
  }

  counts() {
    this.#frame ||= requestAnimationFrame(() => {
      this.#frame = 0
      const { received, missing, doubled, disordered } = this.#ledger
      byId('received').textContent = number.format(received)
      for (const [id, value] of Object.entries({ missing, doubled, disordered })) {
        byId(id).textContent = number.format(value)
        byId(id).dataset.bad = value > 0 ? '1' : '0'
      }
    })
  }

  down() {
    this.#report('down', 'Connection lost. The server goes on publishing; the browser will retry.')
  }

  expired({ away }) {
    const time = away === undefined ? '' : ` after ${seconds(away / 1_000)}`
    this.#report(
      'down',
      `The client had expired${time} (401). This page made a new one and goes on from now.`,
    )
  }

  replaced() {
    this.state('closed')
    this.#report(
      'bad',
      'Another connection has taken this client over. Reload the page to get a new one.',
    )
  }

  back({ seconds: away, caughtUp, missing, doubled, disordered }) {
    byId('reconnects').textContent = number.format((this.#reconnects += 1))
    const parts = [
      count(caughtUp, 'message caught up', 'messages caught up'),
      `${number.format(missing)} missing`,
    ]
    if (doubled > 0) parts.push(`${number.format(doubled)} doubled`)
    if (disordered > 0) parts.push(`${number.format(disordered)} out of order`)
    const good = missing + doubled + disordered === 0
    this.#report(good ? 'good' : 'bad', `Back after ${seconds(away)}, ${parts.join(', ')}.`)
  }

  #report(kind, text) {
    byId('report').dataset.kind = kind
    byId('report').textContent = text
  }

  #time() {
    const { since } = this.#recovery
    const text = since === undefined ? '' : seconds((Date.now() - since) / 1_000)
    if (byId('state-time').textContent !== text) byId('state-time').textContent = text
  }
}
