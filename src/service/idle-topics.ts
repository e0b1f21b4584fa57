import type { Topic } from '../delivery/topic.js'

/** Topics without clients, in the order in which they lost their last one: for all, and by opener. */
export class IdleTopics {
  private readonly all = new Map<Topic, string | undefined>()
  private readonly byOpener = new Map<string, Set<Topic>>()

  /** @param opener Who has opened it; undefined for the application itself. */
  add(topic: Topic, opener: string | undefined): void {
    this.delete(topic)
    this.all.set(topic, opener)
    if (opener === undefined) return
    const topics = this.byOpener.get(opener)
    if (topics === undefined) this.byOpener.set(opener, new Set([topic]))
    else topics.add(topic)
  }

  delete(topic: Topic): void {
    const opener = this.all.get(topic)
    this.all.delete(topic)
    if (opener === undefined) return
    const topics = this.byOpener.get(opener)!
    topics.delete(topic)
    if (topics.size === 0) this.byOpener.delete(opener)
  }

  /** The one that has been idle longest. */
  get first(): Topic | undefined {
    return this.all.keys().next().value
  }

  /** The one of an opener that has been idle longest. */
  firstOf(opener: string): Topic | undefined {
    return this.byOpener.get(opener)?.values().next().value
  }
}
