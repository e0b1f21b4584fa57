/** @needs processes that may be killed and stopped */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { hubDriver } from '../../../src/hub/index.js'
import type { HubDriver } from '../../../src/hub/index.js'
import { CONNECTION_EVENT } from '../../../src/event-names.js'
import { whenEnding } from '../../support/ending.js'
import { openEvents } from '../../support/event-stream.js'
import { until } from '../../support/until.js'
import { socketFolder } from './in-process.js'

/** A page: comes back by itself and names its position, as a browser does. */
class Page {
  readonly got: string[] = []
  readonly refusals: number[] = []
  #lastEventId = ''
  #isOver = false
  #streams = 0

  constructor(private readonly url: string) {
    void this.#live()
  }

  get isOpen(): boolean {
    return this.#streams > 0
  }

  close(): void {
    this.#isOver = true
  }

  async #live(): Promise<void> {
    // What is refused here passes in milliseconds.
    while (!this.#isOver) await this.#stream().catch(() => undefined)
  }

  async #stream(): Promise<void> {
    const headers: Record<string, string> = {}
    if (this.#lastEventId !== '') headers['last-event-id'] = this.#lastEventId
    const stream = await openEvents(this.url, headers)
    if (stream.status !== 200) {
      this.refusals.push(stream.status)
      stream.drop()
      return
    }
    let seen = 0
    const take = () => {
      for (const { event, data, id } of stream.events.slice(seen)) {
        seen++
        if (id !== '') this.#lastEventId = id
        if (event === CONNECTION_EVENT) continue
        if (event !== 'message') this.got.push(data)
        else if (data.includes('"error"')) this.got.push(JSON.parse(data).error.code as string)
        if (data.includes('"config"')) this.#streams++
      }
      return stream.ended || this.#isOver
    }
    await until('the end of the stream', take, 600_000)
    this.#streams = 0
    stream.drop()
  }
}

describe('startWorkers', () => {
  let app: ChildProcess
  let output = ''
  let url = ''
  let publisher: HubDriver
  let pages: Page[] = []
  let sent = 0

  const folder = socketFolder()

  const pids = () =>
    JSON.parse(/pids (\[.*\])/.exec(output)![1]!) as [hub: number, ...workers: number[]]

  beforeAll(async () => {
    app = spawn(process.execPath, ['--import', 'tsx', 'test/src/hub/workers-app.ts'], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HUB: folder.path('hub') },
    })
    whenEnding(() => app.kill('SIGKILL'))
    for (const stream of [app.stdout!, app.stderr!]) {
      stream.setEncoding('utf8').on('data', (text: string) => (output += text))
    }
    await until('the workers', () => output.includes('pids'), 30_000)
    publisher = hubDriver(folder.path('hub'))
    url = /http:\S+/.exec(output)![0]
  })
  afterEach(() => {
    for (const page of pages) page.close()
    pages = []
  })
  afterAll(async () => {
    await publisher?.close()
    folder.remove()
    if (app.exitCode !== null) return
    app.kill('SIGKILL')
    await once(app, 'exit')
  })

  async function get(path: string): Promise<string> {
    const asked = request(url + path, { agent: false, timeout: 5_000 })
    asked.on('timeout', () => asked.destroy(new Error('There was no answer.')))
    asked.end()
    const [response] = (await once(asked, 'response')) as [IncomingMessage]
    let text = ''
    for await (const chunk of response.setEncoding('utf8')) text += chunk as string
    return text
  }

  async function publish(count: number): Promise<string[]> {
    const texts = Array.from({ length: count }, () => `m${++sent}`)
    for (const text of texts) {
      const published = () =>
        publisher.publish('a', text).then(
          () => true,
          () => false,
        )
      await until('the hub to publish', published, 20_000)
    }
    return texts
  }

  async function open(count: number): Promise<void> {
    pages = Array.from({ length: count }, () => new Page(`${url}/events`))
    await until('all pages', () => pages.every(({ isOpen }) => isOpen), 20_000)
  }

  const allHave = (what: string, last: string) =>
    until(what, () => pages.every(({ got }) => got.includes(last)), 30_000)

  const answering = async () => {
    const seen = new Set<number>()
    // A worker that dies resets the connections that were on their way to it.
    const asked = () =>
      get('/pid').then(
        (pid) => seen.add(Number(pid)).size >= 2,
        () => false,
      )
    await until('two workers', asked, 20_000)
    return [...seen]
  }

  test('what one worker publishes reaches the pages of all, once and in order', async () => {
    expect((await answering()).length).toBe(2)
    await open(20)
    const texts = await publish(50)
    await allHave('the last message', texts.at(-1)!)
    for (const { got } of pages) expect(got).toEqual(texts)
  })

  test('a worker that is killed is replaced, and its pages miss nothing', async () => {
    await open(20)
    const texts = await publish(10)
    const [victim] = await answering()
    process.kill(victim!, 'SIGKILL')
    texts.push(...(await publish(30)))
    await until('another', async () => !(await answering()).includes(victim!), 30_000)
    texts.push(...(await publish(10)))
    await allHave('the last message', texts.at(-1)!)
    for (const { got } of pages) expect(got).toEqual(texts)
  })

  test('SIGHUP replaces the workers, and no page misses a message', async () => {
    await open(20)
    const before = await answering()
    app.kill('SIGHUP')
    const texts = await publish(40)
    await until(
      'new workers',
      async () => (await answering()).every((pid) => !before.includes(pid)),
      40_000,
    )
    texts.push(...(await publish(10)))
    await allHave('the last message', texts.at(-1)!)
    for (const { got } of pages) expect(got).toEqual(texts)
  })

  test('a hub that is killed is replaced; every page is told, and all goes on by itself', async () => {
    await open(10)
    await allHave('a message', (await publish(5)).at(-1)!)
    process.kill(pids()[0], 'SIGKILL')
    const told = () => pages.every(({ got }) => got.includes('messages-lost'))
    await until('the loss to be told', told, 30_000)
    const texts = await publish(10)
    await allHave('what comes after', texts.at(-1)!)
    for (const { got } of pages) expect(got.slice(-10)).toEqual(texts)
  })

  test('SIGTERM ends all processes, in order', async () => {
    const workers = await answering()
    app.kill('SIGTERM')
    await once(app, 'exit')
    expect(app.exitCode).toBe(0)
    for (const pid of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
  })
})
