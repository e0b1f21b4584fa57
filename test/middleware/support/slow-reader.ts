import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { until } from '../../support/until.js'

/** Opens a stream and reads nothing of it until it is told to. */
export async function slowReader(
  url: string,
): Promise<{ readUntil(text: string): Promise<string>; drop(): void }> {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    const asked = request(url, { agent: false })
    asked.on('response', resolve).on('error', reject).end()
  })
  response.on('error', () => undefined)
  return {
    async readUntil(text) {
      const parts: string[] = []
      response.setEncoding('utf8')
      let found = false
      response.on('data', (part: string) => {
        // It may be cut in two.
        found ||= ((parts.at(-1) ?? '') + part).includes(text)
        parts.push(part)
      })
      await until(JSON.stringify(text), () => found)
      return parts.join('')
    },
    drop: () => response.destroy(),
  }
}
