// A driver for the broker of this example, which keeps the seven rules of `Driver`.
import { setTimeout as pause } from 'node:timers/promises'
import type { Driver, Sink, Subscription } from 'unifrost'
import { Link } from './link.js'

export interface TinyDriverOptions {
  password?: string
  /** Milliseconds for each answer of the broker. Default: 1,000. */
  timeout?: number
  /** Milliseconds between two questions whether the connection is alive. Default: 300. */
  pingInterval?: number
  /** Milliseconds to wait before attempt 1, 2, … to connect again. */
  wait?: (attempt: number) => number
}

/** Doubled each time up to two seconds, the last half of it by chance. */
const backOff = (attempt: number) => Math.min(2_000, 50 * 2 ** attempt) * (0.5 + Math.random() / 2)

export function tinyDriver(address: string, options: TinyDriverOptions = {}): Driver {
  const { password = '', timeout = 1_000, pingInterval = 300, wait = backOff } = options
  const topics = new Map<string, Sink>()
  const closing = new AbortController()
  const { signal } = closing
  let link: Promise<Link> | undefined
  let running: Promise<void> = Promise.resolve()

  /** Many may ask for the link at once, and a failure is forgotten, so that it is tried again. */
  function connected(): Promise<Link> {
    link ??= connectLink().catch((error: unknown) => {
      link = undefined
      throw error
    })
    return link
  }

  async function connectLink(): Promise<Link> {
    let opened: Link | undefined
    try {
      opened = await Link.open(address, timeout, (topic, payload) =>
        topics.get(topic)?.message(payload),
      )
      await opened.ask({ login: { password } }, timeout)
      if (signal.aborted) throw closedError()
      await Promise.all([...topics].map(([topic, sink]) => openAgain(opened as Link, topic, sink)))
    } catch (cause) {
      await opened?.close()
      throw signal.aborted ? closedError() : connectError(address, cause)
    }
    running = watch(opened)
    return opened
  }

  /** The gap is called as the answer is read: behind what was missed, before what comes next. */
  async function openAgain(opened: Link, topic: string, sink: Sink): Promise<void> {
    const lost = () => sink.gap('The connection to the broker was lost.')
    await opened.ask({ subscribe: topic }, timeout, lost)
  }

  async function watch(opened: Link): Promise<void> {
    const pinging = setInterval(() => {
      // A link that gives no answer is lost, which is noticed below.
      opened.ask({}, timeout).catch(() => undefined)
    }, pingInterval)
    await opened.lost
    clearInterval(pinging)
    link = undefined
    for (let attempt = 1; !signal.aborted && topics.size > 0; attempt++) {
      await pause(wait(attempt), undefined, { signal }).catch(() => undefined)
      if (signal.aborted) return
      const back = await connected().then(
        () => true,
        () => false,
      )
      if (back) return
    }
  }

  async function subscribe(topic: string, sink: Sink): Promise<Subscription> {
    if (signal.aborted) throw closedError()
    if (topic === '' || topic.length > 200) {
      const got = JSON.stringify(topic.slice(0, 50))
      throw new Error(`${got} is no topic. Give it a name of 1 to 200 characters.`)
    }
    const opened = await connected()
    topics.set(topic, sink)
    try {
      await opened.ask({ subscribe: topic }, timeout)
    } catch (cause) {
      topics.delete(topic)
      if (signal.aborted) throw closedError()
      const { message } = cause as Error
      const what = `The broker at ${address} did not open "${topic}" (${message}).`
      throw new Error(`${what} Allow this user to read it, or try again.`, { cause })
    }
    return {
      async close() {
        topics.delete(topic)
        // Without a link there is nothing on the broker, and none is made for this.
        const current = await link?.catch(() => undefined)
        await current?.ask({ unsubscribe: topic }, timeout).catch(() => undefined)
      },
    }
  }

  async function close(): Promise<void> {
    closing.abort()
    topics.clear()
    const current = await link?.catch(() => undefined)
    await current?.close()
    await running
  }

  return { subscribe, close }
}

function closedError(): Error {
  return new Error('This driver has been closed. Make a new one.')
}

function connectError(address: string, cause: unknown): Error {
  const { message } = cause as Error
  return new Error(
    message === 'wrong password'
      ? `The broker at ${address} refused the password. Check it.`
      : `No broker could be reached at ${address} (${message}). Start it, or correct the address.`,
    { cause },
  )
}
