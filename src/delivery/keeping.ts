import { isUint8Array } from 'node:util/types'
import { answerOf } from '../callbacks.js'
import type { Payload } from '../driver.js'
import type { KeyOf, TopicClient, TopicRule } from '../topic-options.js'
import type { Frame } from '../wire/frame.js'
import type { Encoding, Refusal } from '../wire/messages.js'
import type { TopicHistory } from './history.js'
import type { KeptBudget } from './kept.js'
import { Kept } from './kept.js'

/** What a topic's keeping tells its Streamer. */
export interface KeepingHost {
  readonly budget: KeptBudget
  readonly encoding: Encoding
  /** A function of the application's has failed. */
  failed(rule: TopicRule, error: unknown): void
  /** A topic has no last values any more. */
  emptied(): void
}

/** What one topic keeps beside its history: see the option `topics`. */
export class Keeping {
  /** Its last values; undefined where it has none by its rule. */
  readonly kept: Kept | undefined

  constructor(
    readonly rule: TopicRule,
    private readonly history: TopicHistory,
    private readonly host: KeepingHost,
  ) {
    const { retain = 0 } = rule
    const most = typeof retain === 'number' ? retain : Infinity
    const keyed = typeof retain !== 'number'
    if (most > 0) this.kept = new Kept(most, keyed, host.budget, () => host.emptied())
  }

  /** Whether it has something for who subscribes later, so that the topic stays open. */
  get holds(): boolean {
    return this.kept !== undefined && this.kept.size > 0
  }

  /** Whether not every client is sent every message. */
  get filters(): boolean {
    return this.rule.filter !== undefined
  }

  /** A message as the filter is given it; undefined where there is none. */
  filtered(payload: Payload): string | Uint8Array | undefined {
    return this.rule.filter && messageOf(payload, this.host.encoding)
  }

  /** Whether a client is sent a message. Where nobody can say, it is not. */
  passes(client: TopicClient, message: string | Uint8Array): boolean {
    const { filter } = this.rule
    const given = message as string & Uint8Array
    const call = () => filter === undefined || filter(client, given)
    return this.ask('filter', call, isFlag, 'true or false') === true
  }

  /** A message has come. */
  took(frame: Frame, payload: Payload, refusal: Refusal | undefined): void {
    const { kept } = this
    const { retain, conflate = false } = this.rule
    if (conflate !== false && refusal === undefined)
      this.conflate(frame, payload, conflate === true ? {} : conflate)
    if (kept === undefined) return
    if (refusal !== undefined) {
      kept.miss(frame.number)
      return
    }
    if (typeof retain === 'number') {
      kept.take(frame)
      return
    }
    const key = this.keyOf('retain.by', retain!.by, payload)
    if (key === undefined) kept.miss(frame.number)
    else kept.take(frame, key)
  }

  /** Messages may be missing through this number. */
  missed(number: number): void {
    this.kept?.miss(number)
  }

  /** Nothing of it counts any more. */
  clear(): void {
    this.kept?.clear()
  }

  /** Whether a message is the topic's last one. */
  ends(payload: Payload): boolean {
    const { end } = this.rule
    if (end === undefined) return false
    return (
      this.ask(
        'end',
        () => end(messageOf(payload, this.host.encoding)),
        isFlag,
        'true or false',
      ) === true
    )
  }

  /** Whether a client skips what is out of date while it is behind. */
  conflatesFor(asks: boolean): boolean {
    const { conflate = false } = this.rule
    return typeof conflate === 'boolean' ? conflate : conflate.asked !== true || asks
  }

  /** How often a client that conflates is written to, in milliseconds; 0: as messages come. */
  get interval(): number {
    const { conflate } = this.rule
    return typeof conflate === 'object' ? (conflate.interval ?? 0) : 0
  }

  private conflate(frame: Frame, payload: Payload, { by }: { by?: KeyOf }): void {
    // A message without a key stands for itself: nobody skips it.
    const key = by === undefined ? '' : this.keyOf('conflate.by', by, payload)
    if (key !== undefined) this.history.supersede(key, frame)
  }

  private keyOf(name: string, by: KeyOf, payload: Payload): string | undefined {
    return this.ask(name, () => by(messageOf(payload, this.host.encoding)), isText, 'a string')
  }

  /** What a function of the application's gives, or undefined where it fails. */
  private ask<T>(
    name: string,
    call: () => T,
    fits: (value: unknown) => boolean,
    takes: string,
  ): T | undefined {
    try {
      return answerOf(`topics: ${name}`, call, fits, takes)
    } catch (error) {
      this.host.failed(this.rule, error)
      return undefined
    }
  }
}

/** A message as functions of the application's are given it. */
export function messageOf(payload: Payload, encoding: Encoding): string & Uint8Array {
  const named = typeof payload === 'object' && !isUint8Array(payload)
  const data = named ? payload.data : payload
  const isRead = typeof data === 'string' || encoding === 'base64'
  return (isRead ? data : Buffer.from(data).toString()) as string & Uint8Array
}

function isText(value: unknown): boolean {
  return typeof value === 'string'
}

function isFlag(value: unknown): boolean {
  return typeof value === 'boolean'
}
