const MOST = 3

/** Notices to the user, until they are closed. */
export class Notices {
  #element
  #losses = new Set()
  #timer = 0

  constructor(element) {
    this.#element = element
  }

  show(text, kind = 'info') {
    const notice = document.createElement('div')
    notice.className = 'notice'
    notice.dataset.kind = kind
    const words = document.createElement('p')
    words.textContent = text
    const close = document.createElement('button')
    close.type = 'button'
    close.textContent = 'Dismiss'
    close.addEventListener('click', () => notice.remove())
    notice.append(words, close)
    this.#element.append(notice)
    while (this.#element.children.length > MOST) this.#element.firstChild.remove()
  }

  /** Shows `{topic, code, message}` from the server. */
  error({ topic, code, message }) {
    if (code !== 'messages-lost') {
      this.show(`${code}${topic ? ` in ${topic}` : ''}: ${message}`, 'bad')
      return
    }
    // One comes per topic; those that come together make one notice.
    this.#losses.add(topic)
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => {
      const topics = [...this.#losses]
      this.#losses.clear()
      const some = topics.slice(0, 6).join(', ') + (topics.length > 6 ? ', \u2026' : '')
      this.show(`messages-lost: the server says that some may be missing in ${some}`, 'bad')
    }, 300)
  }
}
