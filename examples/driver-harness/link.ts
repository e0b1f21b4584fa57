// One connection to the broker of this example: requests with answers, and messages.
import { connect } from 'node:net'
import type { Socket } from 'node:net'

export interface Reply {
  id?: number
  error?: string
  topic?: string
  data?: string
  connections?: number
  topics?: number
}

export class Link {
  /** Settles when the connection is gone, for whatever reason. */
  readonly lost: Promise<void>
  readonly #answers = new Map<number, { resolve(reply: Reply): void; reject(error: Error): void }>()
  #requests = 0

  private constructor(
    private readonly socket: Socket,
    onMessage: (topic: string, payload: Buffer) => void,
  ) {
    socket.setNoDelay(true)
    this.lost = new Promise((resolve) => {
      socket.once('close', () => {
        for (const { reject } of this.#answers.values()) reject(new Error('the connection is lost'))
        this.#answers.clear()
        resolve()
      })
    })
    let rest = ''
    socket.setEncoding('utf8').on('data', (text: string) => {
      // Where the connection is cut amid a line, that part is lost with it.
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        const { topic, data = '', ...reply } = JSON.parse(line) as Reply
        if (topic === undefined) this.#answered(reply)
        else onMessage(topic, Buffer.from(data, 'base64'))
      }
    })
  }

  /** Connects, or rejects within `timeout` milliseconds. */
  static async open(
    address: string,
    timeout: number,
    onMessage: (topic: string, payload: Buffer) => void = () => undefined,
  ): Promise<Link> {
    const [host = '', port] = address.split(':')
    const socket = connect(Number(port), host)
    const timer = setTimeout(
      () => socket.destroy(new Error(`no answer within ${timeout} ms`)),
      timeout,
    )
    try {
      await new Promise<void>((resolve, reject) => {
        socket.once('connect', resolve)
        socket.once('error', reject)
      })
    } finally {
      clearTimeout(timer)
    }
    socket.on('error', () => undefined)
    return new Link(socket, onMessage)
  }

  /** Rejects where the broker says no, the connection is lost, or no answer comes in time. */
  ask(request: object, timeout: number, onReply?: () => void): Promise<Reply> {
    const id = ++this.#requests
    return new Promise<Reply>((resolve, reject) => {
      // What does not answer is as good as lost: others are to know at once.
      const timer = setTimeout(() => this.socket.destroy(), timeout)
      this.#answers.set(id, {
        resolve(reply) {
          clearTimeout(timer)
          if (reply.error !== undefined) return reject(new Error(reply.error))
          onReply?.()
          resolve(reply)
        },
        reject(error) {
          clearTimeout(timer)
          reject(error)
        },
      })
      if (this.socket.destroyed) this.#answered({ id, error: 'the connection is lost' })
      else this.socket.write(`${JSON.stringify({ id, ...request })}\n`)
    })
  }

  async close(): Promise<void> {
    this.socket.destroy()
    await this.lost
  }

  #answered(reply: Reply): void {
    const answer = this.#answers.get(reply.id ?? 0)
    this.#answers.delete(reply.id ?? 0)
    answer?.resolve(reply)
  }
}
