import type { Socket } from 'node:net'
import { jsonPacket, KIND, PacketReader } from './packets.js'

/** What a worker asks of the hub. */
export interface Call {
  readonly call: number
  readonly name: string
  readonly args: Record<string, unknown>
}

/** Answers a call, at once or later. What it throws is the caller's error. */
export type Answer = (args: Record<string, unknown>, call: number) => unknown

/** A call's answer goes out of the peer's hands: it has been sent, or will be, as another packet. */
export const SENT = Symbol('sent')

/** The hub's end of one connection: answers calls by name. */
export class Peer {
  readonly #socket: Socket
  #answers: Record<string, Answer> = {}

  constructor(socket: Socket) {
    this.#socket = socket
    const reader = new PacketReader((kind, body) => this.#take(kind, body))
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
  }

  /** What it is asked from now on. */
  answerWith(answers: Record<string, Answer>): void {
    this.#answers = answers
  }

  /** Whether the socket takes no more for now. It says `drain` when it does. */
  get isFull(): boolean {
    return this.#socket.writableNeedDrain
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.writable) this.#socket.write(bytes)
  }

  /** Something that the worker did not ask for. */
  tell(event: string, details: Record<string, unknown>): void {
    this.send(jsonPacket({ event, ...details }))
  }

  #take(kind: number, body: Buffer): void {
    if (kind !== KIND.json) throw new Error('A worker sends JSON only.')
    const { call, name, args } = JSON.parse(body.toString()) as Call
    const answer = Object.hasOwn(this.#answers, name) ? this.#answers[name] : undefined
    if (answer === undefined) {
      this.#refuse(call, new Error(`The hub has no call ${JSON.stringify(name)} here.`))
      return
    }
    let result: unknown
    try {
      result = answer(args, call)
    } catch (error) {
      this.#refuse(call, error)
      return
    }
    // What is known at once is answered at once: an answer stands before the entries that follow it.
    if (!(result instanceof Promise)) this.#answer(call, result)
    else {
      result.then(
        (value) => this.#answer(call, value),
        (error: unknown) => this.#refuse(call, error),
      )
    }
  }

  #answer(call: number, result: unknown): void {
    if (result !== SENT) this.send(jsonPacket({ call, result }))
  }

  #refuse(call: number, error: unknown): void {
    const { message, code } = error instanceof Error ? (error as Error & { code?: string }) : {}
    this.send(jsonPacket({ call, error: { message: message ?? String(error), code } }))
  }
}
