import type { Payload } from '../../driver.js'
import type { LogSink, LogSubscription } from '../../log.js'
import type { TopicHost } from '../topic.js'
import { Topic } from '../topic.js'
import type { LogMembership } from './membership.js'
import type { LogTopicHistory } from './topic-history.js'

/** A topic of a driver's log. */
export class LogTopic extends Topic implements LogSink {
  declare readonly history: LogTopicHistory
  declare readonly members: LogMembership[]

  constructor(name: string, host: TopicHost, history: LogTopicHistory) {
    super(name, host, history)
  }

  override message(payload: Payload, number?: number, shared = false): void {
    if (number === undefined) this.gap('The driver gave a message without its number in the log.')
    else if (!this.isOver) this.host.received(this, payload, { number, shared })
  }

  override gap(reason: string, through?: number): void {
    if (!this.isOver) this.host.gapped(this, reason, through)
  }

  /** The driver says from where in its log on the topic is read here. */
  protected override begin({ position }: LogSubscription): void {
    if (position === undefined) return
    this.history.beginAfter(position)
    for (const membership of this.members) membership.opened(this.history.evictedThrough)
  }
}
