import { request } from 'node:http'

/** An answer with what its body says, where that is JSON. */
export interface Answer {
  status: number
  headers: Record<string, string | string[] | undefined>
  body: any
}

/** One request on a connection of its own. */
export function callJson(
  url: string,
  method: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(url, {
      method,
      agent: false,
      timeout: 10_000,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
    })
    asked.on('timeout', () => asked.destroy(new Error(`${method} ${url}: no answer`)))
    asked.on('error', reject)
    asked.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => (text += chunk))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        const isJson = headers['content-type']?.includes('json') && text !== ''
        resolve({ status, headers, body: isJson ? JSON.parse(text) : undefined })
      })
    })
    asked.end(body === undefined ? undefined : JSON.stringify(body))
  })
}
