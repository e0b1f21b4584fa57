const SPAN = 30_000
const BUCKET = 250
const FRAME = 33

/**
 * Shows the last seconds as bars, by the time at which messages were published. An interruption
 * leaves a gap, which messages that are caught up afterwards fill.
 */
export class Timeline {
  #canvas
  #buckets = new Map()
  #outages = []
  #colors = {}
  #still = matchMedia('(prefers-reduced-motion: reduce)')
  #drawn = 0

  constructor(canvas) {
    this.#canvas = canvas
    this.#readColors()
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.#readColors()
    })
    const draw = (time) => {
      if (time - this.#drawn >= (this.#still.matches ? 1_000 : FRAME)) {
        this.#drawn = time
        this.#draw(Date.now())
      }
      requestAnimationFrame(draw)
    }
    requestAnimationFrame(draw)
  }

  add(published, late) {
    const key = Math.floor(published / BUCKET)
    const bucket = this.#buckets.get(key) ?? { live: 0, late: 0 }
    bucket[late ? 'late' : 'live'] += 1
    this.#buckets.set(key, bucket)
  }

  down() {
    if (this.#outages.at(-1)?.to === Infinity) return
    this.#outages.push({ from: Date.now(), to: Infinity })
  }

  up() {
    const last = this.#outages.at(-1)
    if (last?.to === Infinity) last.to = Date.now()
  }

  #readColors() {
    const style = getComputedStyle(document.documentElement)
    for (const name of ['live', 'good-mark', 'bad', 'bad-soft', 'line']) {
      this.#colors[name] = style.getPropertyValue(`--${name}`).trim()
    }
  }

  #draw(now) {
    const canvas = this.#canvas
    const scale = devicePixelRatio || 1
    const width = canvas.clientWidth
    const height = canvas.clientHeight
    if (
      canvas.width !== Math.round(width * scale) ||
      canvas.height !== Math.round(height * scale)
    ) {
      canvas.width = Math.round(width * scale)
      canvas.height = Math.round(height * scale)
    }
    const context = canvas.getContext('2d')
    context.setTransform(scale, 0, 0, scale, 0, 0)
    context.clearRect(0, 0, width, height)
    const start = now - SPAN
    const x = (time) => ((time - start) / SPAN) * width

    this.#forget(start - BUCKET)
    this.#drawOutages(context, x, now, height)
    this.#drawBars(context, x, width, height)
  }

  #forget(before) {
    for (const key of this.#buckets.keys()) {
      if ((key + 1) * BUCKET < before) this.#buckets.delete(key)
    }
    this.#outages = this.#outages.filter(({ to }) => to >= before)
  }

  #drawOutages(context, x, now, height) {
    for (const { from, to } of this.#outages) {
      const left = x(from)
      const right = x(Math.min(to, now))
      context.fillStyle = this.#colors['bad-soft']
      context.fillRect(left, 0, right - left, height)
      context.fillStyle = this.#colors.bad
      context.fillRect(left, 0, 1, height)
      if (to <= now) context.fillRect(right - 1, 0, 1, height)
    }
  }

  #drawBars(context, x, width, height) {
    let most = 8
    for (const { live, late } of this.#buckets.values()) most = Math.max(most, live + late)
    const room = height - 14
    const bar = Math.max(1, (BUCKET / SPAN) * width - (width > 600 ? 3 : 1))
    for (const [key, { live, late }] of this.#buckets) {
      const left = x(key * BUCKET)
      const lateHeight = (late / most) * room
      const liveHeight = (live / most) * room
      context.fillStyle = this.#colors['good-mark']
      context.fillRect(left, height - lateHeight, bar, lateHeight)
      context.fillStyle = this.#colors.live
      context.fillRect(left, height - lateHeight - liveHeight, bar, liveHeight)
    }
  }
}
