const ROWS = 100

/** The events as the browser received them, newest first. */
export class Events {
  #body
  #pause
  #kept = new Map([['all', []]])
  #kind = 'all'
  #fresh = []
  #frame = 0
  #paused = false
  #waiting = 0

  constructor({ body, pause, kind }) {
    this.#body = body
    this.#pause = pause
    this.#label()
    pause.addEventListener('click', () => this.#setPaused(!this.#paused))
    kind.addEventListener('change', () => {
      this.#kind = kind.value
      this.#redraw()
    })
  }

  /** @param kind The filter, besides `all`, that shows the event. */
  add(kind, event, late) {
    const row = {
      event: event.type,
      id: event.lastEventId,
      data: event.data,
      late,
      info: kind === 'message',
    }
    for (const name of ['all', kind]) {
      const kept = this.#kept.get(name) ?? []
      this.#kept.set(name, kept)
      kept.push(row)
      if (kept.length > ROWS) kept.shift()
    }
    if (this.#kind !== 'all' && this.#kind !== kind) return
    if (this.#paused) {
      this.#waiting += 1
      this.#label()
      return
    }
    this.#fresh.push(row)
    this.#frame ||= requestAnimationFrame(() => this.#draw())
  }

  #draw() {
    this.#frame = 0
    // In a tab that was hidden for long, more events have come than are kept.
    const fresh = this.#fresh.splice(0).slice(-ROWS)
    this.#body.prepend(...fresh.reverse().map(makeRow))
    while (this.#body.children.length > ROWS) this.#body.lastChild.remove()
  }

  #redraw() {
    this.#fresh = [...(this.#kept.get(this.#kind) ?? [])]
    this.#body.replaceChildren()
    this.#draw()
    this.#waiting = 0
    this.#label()
  }

  #setPaused(paused) {
    this.#paused = paused
    if (paused) this.#label()
    else this.#redraw()
  }

  #label() {
    const more = this.#waiting > 999 ? '999+' : this.#waiting
    this.#pause.textContent = this.#paused ? `Resume (${more})` : 'Pause'
  }
}

function makeRow({ event, id, data, late, info }) {
  const row = document.createElement('tr')
  // Said once more, since a narrow window shows the table as something else.
  row.role = 'row'
  row.dataset.late = late ? '1' : '0'
  row.dataset.info = info ? '1' : '0'
  for (const text of [event, id, data]) {
    const cell = document.createElement('td')
    cell.role = 'cell'
    cell.textContent = text
    row.append(cell)
  }
  row.lastChild.title = data.length > 1_000 ? `${data.slice(0, 1_000)}\u2026` : data
  return row
}
