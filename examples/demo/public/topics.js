import { changeTopics, RequestError } from './api.js'

const still = matchMedia('(prefers-reduced-motion: reduce)')
const number = new Intl.NumberFormat('en')

/** Tiles to subscribe to and unsubscribe from topics, one for each topic. */
export class Topics {
  #tiles = new Map()
  #clientId
  #onChange
  #onProblem

  /** @param onChange Called with a topic before its subscription changes. */
  constructor({ element, names, clientId, onChange, onProblem }) {
    this.#clientId = clientId
    this.#onChange = onChange
    this.#onProblem = onProblem
    for (const name of names) {
      const tile = makeTile(name)
      tile.button.addEventListener('click', () => void this.#switch([name], !tile.on))
      this.#tiles.set(name, tile)
      element.append(tile.button)
    }
  }

  has(name) {
    return this.#tiles.has(name)
  }

  isOn(name) {
    return this.#tiles.get(name)?.on ?? false
  }

  get on() {
    return [...this.#tiles.keys()].filter((name) => this.isOn(name))
  }

  switchAll(on) {
    const names = [...this.#tiles.keys()].filter((name) => this.isOn(name) !== on)
    return names.length > 0 ? this.#switch(names, on) : undefined
  }

  tick(name, seq, late) {
    const tile = this.#tiles.get(name)
    tile.seq.textContent = number.format(seq)
    if (late) this.#countLate(tile)
    if (still.matches) return
    tile.flash.dataset.late = late ? '1' : '0'
    tile.flash.animate([{ opacity: 1 }, { opacity: 0 }], { duration: 700, easing: 'ease-out' })
  }

  /** The server has refused some of the requested topics. */
  refuse(refused) {
    for (const { topic } of refused) this.#show(this.#tiles.get(topic), false)
    if (refused.length === 0) return
    this.#onProblem(refused.map(({ topic, message }) => `${topic}: ${message}`).join(' '))
  }

  async #switch(names, on) {
    const free = names.filter((name) => !this.#tiles.get(name).busy)
    if (free.length === 0) return
    for (const name of free) {
      const tile = this.#tiles.get(name)
      tile.busy = true
      this.#onChange(name)
      this.#show(tile, on)
    }
    try {
      const change = on ? { add: free } : { remove: free }
      const answer = await changeTopics(this.#clientId(), change)
      this.refuse(answer.refused)
    } catch (error) {
      // An expired client is about to be replaced, and the next one asks for these topics.
      if (!(error instanceof RequestError && error.status === 401)) {
        for (const name of free) this.#show(this.#tiles.get(name), !on)
        this.#onProblem(`The subscriptions could not be changed. ${error.message}`)
      }
    }
    for (const name of free) this.#tiles.get(name).busy = false
  }

  #show(tile, on) {
    if (!tile) return
    tile.on = on
    tile.button.setAttribute('aria-pressed', String(on))
    tile.seq.textContent = on ? '\u2026' : 'off'
  }

  #countLate(tile) {
    tile.lateCount += 1
    tile.late.textContent = `+${tile.lateCount}`
    tile.late.dataset.shown = '1'
    clearTimeout(tile.lateTimer)
    tile.lateTimer = setTimeout(() => {
      tile.late.dataset.shown = '0'
      tile.lateCount = 0
    }, 4_000)
  }
}

function makeTile(name) {
  const button = document.createElement('button')
  button.type = 'button'
  button.className = 'tile'
  button.dataset.topic = name
  button.setAttribute('aria-pressed', 'true')
  // The number changes every second; a screen reader need not follow it.
  button.setAttribute('aria-label', name)
  const part = (className, text = '') => {
    const span = document.createElement('span')
    span.className = className
    span.textContent = text
    button.append(span)
    return span
  }
  return {
    button,
    flash: part('tile-flash'),
    name: part('tile-name', name),
    seq: part('tile-seq', '\u2026'),
    late: Object.assign(part('tile-late'), { ariaHidden: 'true' }),
    lateCount: 0,
    lateTimer: 0,
    on: true,
    busy: false,
  }
}
