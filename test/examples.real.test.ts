/** @needs a NATS server */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { startNats } from './brokers/nats.js'
import { whenEnding } from './support/ending.js'
import { openEvents } from './support/event-stream.js'
import { startScript } from './support/script.js'

describe('the example of N topics on NATS', () => {
  test('switches topics on and off while the client is connected', async () => {
    const nats = await startNats()
    const script = await startScript('examples/nats-topics.ts', { NATS_URL: nats.url, TOPICS: '3' })
    const post = async (path: string, body?: object) => {
      const response = await fetch(script.url + path, {
        method: 'POST',
        ...(body && {
          headers: { 'content-type': 'application/json' },
          body: JSON.stringify(body),
        }),
      })
      return (await response.json()) as Record<string, string>
    }
    try {
      const { client_id } = await post('/clients')
      const stream = await openEvents(`${script.url}/events?id=${client_id}`)
      const changed = await post('/update_subscriptions', { client_id, add: ['topic1', 'other'] })
      expect(changed).toMatchObject({ added: ['topic1'], refused: [{ topic: 'other' }] })
      await stream.next('a message of topic1', ({ event }) => event === 'topic1')
      await post('/update_subscriptions', { client_id, add: ['topic2'], remove: ['topic1'] })
      await stream.next('a message of topic2', ({ event }) => event === 'topic2')
      expect(stream.events.some(({ event }) => event === 'topic3')).toBe(false)
      expect(await script.stop()).toBe(0)
    } finally {
      await script.stop()
      await nats.stop()
    }
  })
})

test('the example of a driver keeps the whole contract', async () => {
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', 'examples/driver-harness/contract.ts'],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const letGo = whenEnding(() => child.kill('SIGTERM'))
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const [code] = (await once(child, 'close')) as [number | null]
  letGo()
  // What it prints says which case has failed, and why.
  expect({ code, output }).toEqual({ code: 0, output: expect.stringMatching(/# fail 0/) as string })
  expect(output).toContain('# SKIP this driver takes addresses only')
}, 120_000)
