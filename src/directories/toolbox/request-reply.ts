import type { Outcome } from '../../directory.js'

/**
 * Questions and answers over an engine that only carries texts from one server to another. A
 * question goes as `[number, sender, text]`, and its answer comes back as `[number, null, text]`.
 */
export class RequestReply {
  private readonly waiting = new Map<number, (answer: string) => void>()
  private last = 0

  /** @param send Sends to a server, and resolves to how many have got it. */
  constructor(private readonly send: (server: string, packet: string) => Promise<number>) {}

  /** See `Directory.ask`. */
  async ask(from: string, server: string, message: string, timeout: number): Promise<Outcome> {
    const number = ++this.last
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<Outcome>((resolve) => {
      this.waiting.set(number, (answer) => resolve({ answer }))
      timer = setTimeout(() => resolve('silent'), timeout)
    })
    try {
      const receivers = await this.send(server, JSON.stringify([number, from, message]))
      return receivers === 0 ? 'gone' : await answered
    } finally {
      this.waiting.delete(number)
      clearTimeout(timer)
    }
  }

  /** Takes what has come, a question or an answer. Anything else is ignored. */
  receive(packet: string, answer: (message: string) => Promise<string>): void {
    const read = readPacket(packet)
    if (read === undefined) return
    const { number, from, text } = read
    if (from === null) {
      this.waiting.get(number)?.(text)
      return
    }
    answer(text)
      .then((answered) => this.send(from, JSON.stringify([number, null, answered])))
      // The server that asked finds out by itself that there is no answer.
      .catch((error: unknown) => void error)
  }
}

function readPacket(
  packet: string,
): { number: number; from: string | null; text: string } | undefined {
  let read: unknown
  try {
    read = JSON.parse(packet)
  } catch {
    return undefined
  }
  if (!Array.isArray(read)) return undefined
  const [number, from, text] = read as unknown[]
  if (typeof number !== 'number' || typeof text !== 'string') return undefined
  return from === null || typeof from === 'string' ? { number, from, text } : undefined
}
