import { post } from './api.js'

const LAST = 10
const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })

/** The chat room: the last messages, and a form to add one. */
export class Chat {
  #list
  #empty
  #shown = new Set()

  constructor({ list, empty, form, onProblem }) {
    this.#list = list
    this.#empty = empty
    form.elements.name.value = `Guest ${Math.floor(Math.random() * 900) + 100}`
    form.addEventListener('submit', async (event) => {
      event.preventDefault()
      const { name, text } = form.elements
      const said = text.value
      text.value = ''
      try {
        await post('chat', { name: name.value, text: said })
      } catch (error) {
        // Puts the text back, unless the user has typed something else since.
        text.value ||= said
        onProblem(`The message was not sent. ${error.message}`)
      }
    })
  }

  add({ source, seq, at, name, text }) {
    // A new client gets the last messages again, which may be on the page already.
    const key = `${source} ${seq}`
    if (this.#shown.has(key)) return
    this.#shown.add(key)
    this.#empty.hidden = true

    const item = document.createElement('li')
    const by = document.createElement('span')
    by.className = 'chat-by'
    by.textContent = name
    const when = document.createElement('time')
    when.dateTime = new Date(at).toISOString()
    when.textContent = time.format(at)
    const said = document.createElement('span')
    said.className = 'chat-text'
    said.textContent = text
    item.append(by, when, said)
    this.#list.append(item)
    while (this.#list.children.length > LAST) this.#list.firstChild.remove()
    this.#list.scrollTop = this.#list.scrollHeight
  }
}
