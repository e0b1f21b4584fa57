import { Attachment } from '../../driver-kit/index.js'
import type { SourceEvents } from '../../driver-kit/index.js'
import type { SqsMessage } from './message.js'

/** A topic that is open, or is being opened. */
export class Topic {
  /** Whether `subscribe` has settled: before that, nobody misses anything. */
  ready = false
  /** Whether what it sends to the current queue is handed over. */
  live = false
  /** The probe that is under way, and what to do when it has come through. */
  probe: { id: string; arrived(): void } | undefined
  /** Has the present attempt to attach the topic to a queue fail. */
  cancel: (error: unknown) => void = () => undefined
  readonly attachment: Attachment<[SqsMessage]>

  constructor(
    readonly arn: string,
    readonly events: SourceEvents<SqsMessage>,
  ) {
    this.attachment = new Attachment(events)
  }

  /** What it sends may be missed from now on, until it is live again. */
  interrupt(reason: string): void {
    this.live = false
    this.probe = undefined
    if (this.ready) this.attachment.missed(reason)
  }

  /** Rejects when the attempt that begins now is cancelled, whether somebody waits or not. */
  cancellable(): Promise<never> {
    const cancelled = new Promise<never>((_, reject) => (this.cancel = reject))
    cancelled.catch(() => undefined)
    return cancelled
  }
}
