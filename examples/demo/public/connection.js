import { changeTopics, post } from './api.js'

const RETRY = 2_000
const delay = (millis) => new Promise((resolve) => setTimeout(resolve, millis))

/**
 * One client and its EventSource. The browser reconnects by itself and sends the id of its last
 * event. This class makes the client, and a new one when that has expired.
 *
 * `on` is called with `state` (connecting, connected, reconnecting, closed), `client` (a new one),
 * `event` (of a topic) and `info` (a message without a topic).
 */
export class Connection {
  id = undefined
  lastEventId = ''
  #topics
  #wanted
  #on
  #source = undefined

  /** @param wanted Returns the topics that a new client asks for. */
  constructor({ topics, wanted, on }) {
    this.#topics = topics
    this.#wanted = wanted
    this.#on = on
  }

  async start() {
    this.#on.state('connecting')
    for (;;) {
      try {
        await this.#makeClient()
        break
      } catch {
        // The server does not answer, or takes no new clients at the moment.
        this.#on.state('reconnecting')
        await delay(RETRY)
      }
    }
    this.#connect()
  }

  /** Closes the EventSource for good, so that the browser does not reconnect. */
  close() {
    this.#source?.close()
    this.#source = undefined
  }

  /** The server has said goodbye. A browser would stay away for a week then, so this asks. */
  gone() {
    this.close()
    void this.#closed()
  }

  async #makeClient() {
    const { client_id, client_ttl_millis } = await post('clients')
    const { at, likes } = await post('join', { client_id })
    this.id = client_id
    this.lastEventId = ''
    const { refused } = await changeTopics(client_id, { add: this.#wanted() })
    this.#on.client({ id: client_id, ttl: client_ttl_millis, at, likes, refused })
  }

  #connect() {
    // The browser sends the position by itself only when it reconnects the same EventSource.
    const query = new URLSearchParams({ id: this.id })
    if (this.lastEventId) query.set('last_event_id', this.lastEventId)
    const source = new EventSource(`events?${query}`)
    this.#source = source

    const listen = (type, listener) => {
      source.addEventListener(type, (event) => {
        // Events of a replaced EventSource are ignored.
        if (this.#source === source) listener(event)
      })
    }
    listen('open', () => this.#on.state('connected'))
    listen('error', () => {
      if (source.readyState === EventSource.CLOSED) void this.#closed()
      else this.#on.state('reconnecting')
    })
    const position = (event) => {
      if (event.lastEventId) this.lastEventId = event.lastEventId
    }
    listen('message', (event) => {
      position(event)
      this.#on.info(event)
    })
    for (const topic of this.#topics) {
      listen(topic, (event) => {
        position(event)
        this.#on.event(topic, event)
      })
    }
  }

  /** The stream is over, and the browser does not tell why, so this asks the server. */
  async #closed() {
    this.#source = undefined
    this.#on.state('closed')
    for (;;) {
      const query = new URLSearchParams({ id: this.id })
      const status = await fetch(`events?${query}`, { method: 'HEAD' }).then(
        (response) => response.status,
        () => 0,
      )
      if (status === 401) {
        this.#on.expired()
        return this.start()
      }
      if (status === 200) {
        this.#on.state('reconnecting')
        return this.#connect()
      }
      this.#on.state('reconnecting')
      await delay(RETRY)
    }
  }
}
