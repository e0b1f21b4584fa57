import type { RequestListener } from 'node:http'
import { EventSource } from 'eventsource'
import express from 'express'
import { connect } from 'unifrost/client'
import type { Live, RunPart, RunSource } from 'unifrost/client'
import { runs } from 'unifrost/runs'
import type { Run, Runs } from 'unifrost/runs'
import { serve } from '../support/http-server.js'
import type { Served } from '../support/http-server.js'
import { until } from '../support/until.js'

jest.setTimeout(60_000)

let served: Served
let answers: Runs
let live: Live
let requests: string[]
/** What a proxy answers in the server's place. */
let refuse: number | undefined
let run: Run
let finish: () => void

/** A producer that the test writes through. */
const produce = (given: Run) => {
  run = given
  return new Promise<string>((resolve) => (finish = () => resolve('all')))
}

beforeEach(async () => {
  refuse = undefined
  requests = []
  served = await serve({}, ({ streamer }) => {
    answers = runs(streamer)
    const app = express().use(express.json())
    app.use((request, response, next) => {
      requests.push(`${request.method} ${request.url} ${request.get('last-event-id') ?? ''}`.trim())
      if (refuse === undefined) next()
      else response.writeHead(refuse).end('refused by the proxy')
    })
    app.post('/chat', async (request, response) => {
      const { id } = request.body as { id: string }
      const started = await answers.start(id, produce)
      response.location(`/chat/${id}/stream`)
      await answers.send(started, request, response)
    })
    app.post('/later', async (request, response) => {
      const started = await answers.start('later', produce)
      response.status(202).json({ run: started.id })
    })
    const stream = answers.express((request) => request.params['id'])
    app.get('/chat/:id/stream', stream as never)
    return app as RequestListener
  })
  live = connect(at('/events'), { EventSource, maxWait: 40 })
})

afterEach(async () => {
  live.close()
  finish?.()
  await answers.close()
  await served.dispose()
})

const at = (path: string) => `http://127.0.0.1:${served.port}${path}`
const ofRuns = () => requests.filter((line) => /chat|later/.test(line))
const breakAll = () => served.server.closeAllConnections()

/** Reads in the background. */
function read(source: string | RunSource) {
  const parts: string[] = []
  const reading = live.run(source)
  const done = (async () => {
    for await (const part of reading) parts.push(part.data)
  })()
  return { parts, reading, done }
}

const start = (id: string): RunSource => ({
  start: { url: at('/chat'), method: 'POST', body: { id } },
})

test('a run is read from its first part to its end', async () => {
  await answers.start('7', produce)
  run.append('one')
  run.append({ two: 2 }, { event: 'note' })
  const seen: RunPart[] = []
  const reading = live.run(at('/chat/7/stream'))
  const done = (async () => {
    for await (const part of reading) seen.push(part)
  })()
  await until('the first parts', () => seen.length === 2)
  run.append('now', { transient: true })
  await until('the transient part', () => seen.length === 3)
  finish()
  await done
  expect(seen.map(({ data, event }) => [data, event])).toEqual([
    ['one', undefined],
    ['{"two":2}', 'note'],
    ['now', undefined],
  ])
  expect(seen.map(({ id }) => id?.split('-')[1])).toEqual(['1', '2', undefined])
  expect(reading.end).toEqual({ kind: 'done', data: 'all' })
})

test("the POST's own answer is read, and after a break the rest by GET: once each, one POST", async () => {
  const { parts, reading, done } = read(start('8'))
  await until('the run', () => ofRuns().length === 1 && run !== undefined)
  run.append('one')
  await until('the first part', () => parts.length === 1)
  refuse = 502
  breakAll()
  await until('a GET that is refused', () => ofRuns().length > 1)
  run.append('two')
  refuse = undefined
  await until('the second part', () => parts.length === 2)
  finish()
  await done
  expect(parts).toEqual(['one', 'two'])
  expect(reading.end).toMatchObject({ kind: 'done' })
  const [first, ...others] = ofRuns()
  expect(first).toBe('POST /chat')
  expect(new Set(others)).toEqual(new Set([`GET /chat/8/stream ${run.id}-1`]))
})

test('a POST whose answer is no stream is followed by GET', async () => {
  const source = { url: at('/chat/later/stream'), start: { url: at('/later') } }
  const { parts, done } = read(source)
  await until('the GET', () => ofRuns().length === 2)
  run.append('one')
  finish()
  await done
  expect(parts).toEqual(['one'])
  expect(ofRuns()).toEqual(['POST /later', 'GET /chat/later/stream'])
})

test('a POST that is lost on its way is not sent again', async () => {
  refuse = 502
  const { reading, done } = read({ url: at('/chat/lost/stream'), ...start('lost') })
  await until('the POST', () => ofRuns().length === 1)
  refuse = undefined
  await done
  expect(ofRuns().filter((line) => line.startsWith('POST'))).toHaveLength(1)
  expect(reading.end).toMatchObject({ kind: 'failed', code: 'ERR_UNIFROST_NO_RUN' })
})

test('a run that fails or is stopped says so', async () => {
  await answers.start('9', async () => {
    throw Object.assign(new Error('The model is away.'), { expose: true, status: 503 })
  })
  const failed = read(at('/chat/9/stream'))
  await failed.done
  expect(failed.reading.end).toMatchObject({ kind: 'failed', message: 'The model is away.' })

  await answers.start('10', ({ signal }) => {
    return new Promise((resolve) => signal.addEventListener('abort', resolve))
  })
  const stopped = read(at('/chat/10/stream'))
  await until('a reader', async () => (await answers.status('10'))?.state === 'running')
  await answers.stop('10')
  await stopped.done
  expect(stopped.reading.end).toEqual({ kind: 'stopped' })
})

test('the parts of a catch-up are handed over in one go', async () => {
  await answers.start('11', produce)
  for (let n = 1; n <= 1_000; n++) run.append(`part ${n}`)
  let calls = 0
  const reading = live.run(at('/chat/11/stream'))
  const sizes = new Set<number>()
  const stop = reading.subscribe(({ parts }) => {
    calls++
    sizes.add(parts.length)
  })
  await until('all parts', () => reading.view().parts.length === 1_000)
  expect(calls).toBeLessThan(50)
  expect(new Set(reading.view().parts.map(({ data }) => data)).size).toBe(1_000)
  stop()
})

test('who stops reading goes on behind the last part, without a POST', async () => {
  const { parts, reading, done } = read(start('12'))
  await until('the run', () => ofRuns().length === 1 && run !== undefined)
  run.append('one')
  await until('the first part', () => parts.length === 1)
  breakAll()
  const stop = reading.subscribe(() => undefined)
  stop()
  run.append('two')
  finish()
  await done
  expect(parts).toEqual(['one', 'two'])
  // A later reader of the same object gets all.
  const again: string[] = []
  for await (const { data } of reading) again.push(data)
  expect(again).toEqual(['one', 'two'])
})

test('a client that is closed ends its readings, and leaves the run alone', async () => {
  await answers.start('13', produce)
  const { reading, done } = read(at('/chat/13/stream'))
  await until('the stream', () => reading.view().state === 'open')
  live.close()
  await done
  expect([reading.end, reading.view().state]).toEqual([undefined, 'closed'])
  expect((await answers.status('13'))?.state).toBe('running')
})

test('what can not be sent is an error of the call', async () => {
  const cyclic: { self?: unknown } = {}
  cyclic.self = cyclic
  await expect(read({ start: { url: at('/chat'), body: cyclic } }).done).rejects.toThrow(/circular/)
  await expect(read({ start: { body: {} } }).done).rejects.toThrow(/give the address/)
  await expect(read({ uri: at('/chat') } as RunSource).done).rejects.toThrow(/no option uri/)
  expect(ofRuns()).toEqual([])
})
