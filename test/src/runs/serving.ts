import { once } from 'node:events'
import type { RequestListener } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A server on a free port, with what reads it. */
export class Site {
  private readonly server
  private constructor(listener: RequestListener) {
    this.server = createServer(listener)
  }

  static async open(listener: RequestListener): Promise<Site> {
    const site = new Site(listener)
    site.server.listen(0, '127.0.0.1')
    await once(site.server, 'listening')
    return site
  }

  get address(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`
  }

  get(path: string, headers: Record<string, string> = {}, signal?: AbortSignal): Promise<Response> {
    return fetch(this.address + path, { headers, ...(signal && { signal }) })
  }

  async close(): Promise<void> {
    const closed = once(this.server, 'close')
    this.server.close()
    this.server.closeAllConnections()
    await closed
  }
}

/** The events of a whole stream's text. */
export interface Read {
  event: string | undefined
  data: string
  id: string | undefined
}

/** Takes the events of a stream apart, field by field as they stand there. */
export function eventsIn(text: string): Read[] {
  return text
    .split('\n\n')
    .slice(0, -1)
    .map((block) => {
      const read: Read = { event: undefined, data: '', id: undefined }
      const data: string[] = []
      for (const line of block.split('\n')) {
        const colon = line.indexOf(': ')
        const [name, value] = [line.slice(0, colon), line.slice(colon + 2)]
        if (name === 'data') data.push(value)
        else if (name === 'event') read.event = value
        else if (name === 'id') read.id = value
        else if (name !== 'retry') throw new Error(`A line that is no field: ${line}`)
      }
      read.data = data.join('\n')
      return read
    })
}

/** Reads until the text holds this, and leaves. */
export async function readUntil(response: Response, holds: (text: string) => boolean) {
  let text = ''
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader()
  while (!holds(text)) {
    const { value, done } = await reader.read()
    if (done) break
    text += value
  }
  await reader.cancel()
  return text
}
