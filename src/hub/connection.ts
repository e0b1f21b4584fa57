import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { LogPart } from './packets.js'
import { jsonPacket, KIND, PacketReader, readPart, VERSION } from './packets.js'

/** What comes over a connection to the hub beside the answers. */
export interface HubEvents {
  /** A packet of the log. The body is valid during the call only. */
  packet?(kind: number, body: Buffer): void
  /** Something that was not asked for. */
  event?(name: string, details: Record<string, unknown>): void
}

interface Waiting {
  resolve(result: unknown): void
  reject(error: Error): void
}

/** A worker's end of a connection to the hub. */
export class HubConnection {
  /** Settles when the connection is gone, with the reason. */
  readonly lost: Promise<Error>
  readonly #waiting = new Map<number, Waiting>()
  #calls = 0
  #isGone: Error | undefined

  private constructor(
    private readonly socket: Socket,
    private readonly events: HubEvents,
  ) {
    const reader = new PacketReader((kind, body) => this.#take(kind, body))
    let reason: Error | undefined
    socket.on('data', (chunk) => {
      try {
        reader.push(chunk)
      } catch (error) {
        socket.destroy(error as Error)
      }
    })
    socket.on('error', (error) => (reason = error))
    this.lost = new Promise((resolve) => {
      socket.on('close', () => {
        this.#isGone = reason ?? new Error('the hub closed the connection')
        for (const { reject } of this.#waiting.values()) reject(this.#isGone)
        this.#waiting.clear()
        resolve(this.#isGone)
      })
    })
  }

  /** Connects. It rejects when nobody listens there, or the signal is aborted. */
  static open(address: string, events: HubEvents, signal: AbortSignal): Promise<HubConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(address)
      const abort = () => socket.destroy()
      const failed = (error: Error) => reject(error)
      signal.addEventListener('abort', abort, { once: true })
      socket.once('error', failed)
      socket.once('close', () => signal.removeEventListener('abort', abort))
      socket.once('connect', () => {
        socket.off('error', failed)
        resolve(new HubConnection(socket, events))
      })
    })
  }

  /** Says what this connection is for, and which version this worker speaks. */
  greet<Answer>(
    name: 'log' | 'directory',
    args: Record<string, unknown>,
    answered?: (answer: Answer) => void,
  ): Promise<Answer> {
    return this.ask<Answer>(name, { ...args, version: VERSION }, answered)
  }

  /**
   * Asks the hub.
   *
   * @param answered Called with the answer before anything that comes after it. It must not throw.
   */
  ask<Answer>(
    name: string,
    args: Record<string, unknown> = {},
    answered?: (answer: Answer) => void,
  ): Promise<Answer> {
    if (this.#isGone !== undefined) return Promise.reject(this.#isGone)
    const call = ++this.#calls
    return new Promise<Answer>((resolve, reject) => {
      this.#waiting.set(call, {
        resolve: (result) => {
          answered?.(result as Answer)
          resolve(result as Answer)
        },
        reject,
      })
      this.socket.write(jsonPacket({ call, name, args }))
    })
  }

  /** Closes the connection. */
  end(): void {
    this.socket.destroy()
  }

  /** Closes it after what was asked has been written. */
  async finish(): Promise<void> {
    this.socket.end()
    await this.lost
  }

  #take(kind: number, body: Buffer): void {
    if (kind === KIND.part) this.#takePart(readPart(body))
    else if (kind !== KIND.json) this.events.packet?.(kind, body)
    else this.#takeJson(JSON.parse(body.toString()) as Record<string, unknown>)
  }

  #takePart(part: LogPart): void {
    // It is read after this call, when the chunk it came in may be reused.
    this.#answered(part.call)?.resolve({ ...part, packets: Buffer.from(part.packets) })
  }

  #takeJson(message: Record<string, unknown>): void {
    const { call, event, result, error } = message
    if (typeof event === 'string') {
      this.events.event?.(event, message)
      return
    }
    const waiting = this.#answered(Number(call))
    if (error === undefined) waiting?.resolve(result)
    else waiting?.reject(hubError(error as { message: string; code?: string }))
  }

  #answered(call: number): Waiting | undefined {
    const waiting = this.#waiting.get(call)
    this.#waiting.delete(call)
    return waiting
  }
}

function hubError({ message, code }: { message: string; code?: string }): Error {
  return Object.assign(new Error(message), code !== undefined && { code })
}
