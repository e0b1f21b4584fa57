/** @needs Chromium and a NATS server */
import { chromium, type Browser, type Page } from 'playwright-core'
import { ADMIN, RUNNING_NATS, startNats } from './brokers/nats.js'
import { startDemo, type Demo } from './support/demo.js'
import { tcpProxy, type TcpProxy } from './support/tcp-proxy.js'
import { until } from './support/until.js'

jest.setTimeout(90_000)

/** What the page's EventSource got: the test's own reading, apart from what the page makes of it. */
interface Seen {
  topic: string
  id: string
  data: string
}

const RECORD = `
  window.seen = []
  const add = EventSource.prototype.addEventListener
  EventSource.prototype.addEventListener = function (type, listener, options) {
    add.call(this, type, (event) => {
      if (event instanceof MessageEvent) {
        window.seen.push({ topic: type, id: event.lastEventId, data: event.data })
      }
      listener.call(this, event)
    }, options)
  }
`

/** Where everything is that has to stay where it is. */
const PLACES = `() =>
  [...document.querySelectorAll('section, button, select, input, p, dt, h2, canvas, figcaption')]
    .map((element) => [element, element.getBoundingClientRect()])
    .map(([{ tagName, id, className }, { x, y, width, height }]) =>
      [tagName, id, className, ...[x, y, width, height].map(Math.round)].join(' '))`

let browser: Browser
let demo: Demo
let proxy: TcpProxy
let page: Page
let problems: string[]

async function open(viewport: { width: number; height: number }, through = proxy): Promise<Page> {
  const context = await browser.newContext({ viewport })
  const opened = await context.newPage()
  opened.on('pageerror', (error) => problems.push(String(error)))
  opened.on('console', (message) => {
    // The browser itself notes each request that the network has broken off: that is the test.
    if (message.text().startsWith('Failed to load resource: net::')) return
    // It does so for the two answers, too, which tell the page that its client has expired.
    if (/Failed to load resource: .* 401 /.test(message.text())) return
    if (message.type() === 'error' || message.type() === 'warning') problems.push(message.text())
  })
  await opened.addInitScript(RECORD)
  await opened.goto(`http://127.0.0.1:${through.port}/`)
  await state(opened, 'connected')
  return opened
}

const state = (of: Page, name: string, timeout = 15_000): Promise<unknown> =>
  of.waitForSelector(`#state[data-state=${name}]`, { timeout })

const number = async (of: Page, id: string): Promise<number> =>
  Number((await of.innerText(`#${id}`)).replaceAll(',', ''))

const seen = (of: Page): Promise<Seen[]> => of.evaluate<Seen[]>('window.seen')

/** The sequence numbers of each topic, by what came over the wire. */
async function sequences(of: Page): Promise<Map<string, number[]>> {
  const numbers = new Map<string, number[]>()
  for (const { topic, data } of await seen(of)) {
    if (topic === 'message') continue
    const { seq } = JSON.parse(data) as { seq: number }
    numbers.set(topic, [...(numbers.get(topic) ?? []), seq])
  }
  return numbers
}

/** In every topic each number follows the one before: nothing missing, doubled or out of order. */
async function expectExactlyOnce(of: Page): Promise<void> {
  for (const [topic, numbers] of await sequences(of)) {
    const [first = 0] = numbers
    expect({ topic, numbers }).toEqual({
      topic,
      numbers: Array.from(numbers, (_, index) => first + index),
    })
  }
  const counts = { missing: await number(of, 'missing'), doubled: await number(of, 'doubled') }
  expect(counts).toEqual({ missing: 0, doubled: 0 })
  expect(await number(of, 'disordered')).toBe(0)
}

const received = (more: number) => async (): Promise<boolean> =>
  (await number(page, 'received')) >= more

/** Everything that the page gets is live again: each of these topics has gone on. */
async function moved(of: Page, topics: string[]): Promise<void> {
  const last = async (topic: string) => (await sequences(of)).get(topic)?.at(-1) ?? 0
  const before = await Promise.all(topics.map(last))
  await until('all topics to go on', async () => {
    const now = await Promise.all(topics.map(last))
    return now.every((value, index) => value > before[index]!)
  })
}

describe('the demo in Chromium', () => {
  beforeAll(async () => {
    browser = await chromium.launch({
      executablePath: process.env['UNIFROST_TEST_CHROMIUM'] ?? '/usr/bin/chromium',
      args: ['--no-sandbox'],
    })
  })

  afterAll(async () => {
    await browser?.close()
  })

  beforeEach(async () => {
    demo = await startDemo()
    proxy = await tcpProxy(demo.port)
    problems = []
    page = await open({ width: 1440, height: 900 })
  })

  afterEach(async () => {
    for (const context of browser.contexts()) await context.close()
    await proxy.close()
    expect(await demo.stop()).toMatchObject({ code: 0, stderr: '' })
    expect(problems).toEqual([])
  })

  test('the connection is cut at the socket, three times: nothing is missing or doubled', async () => {
    await until('messages', received(60))
    for (let cut = 1; cut <= 3; cut++) {
      expect(proxy.cut()).toBeGreaterThan(0)
      await state(page, 'reconnecting')
      await state(page, 'connected')
      await until('the report', async () => (await number(page, 'reconnects')) === cut)
      const report = await page.innerText('#report')
      expect(report).toMatch(/^Back after \d+\.\d s, [1-9]\d* messages caught up, 0 missing\.$/)
      await moved(page, ['tick.1', 'tick.12', 'ticker.BIFR'])
    }
    await expectExactlyOnce(page)
    // One client all along: the browser came back by itself with its Last-Event-ID.
    const configs = (await seen(page)).filter(({ data }) => data.startsWith('{"config"'))
    expect(configs).toHaveLength(4)
    const ids = configs.map(({ data }) => JSON.parse(data).config.client_id as string)
    expect(new Set(ids)).toEqual(new Set([await page.innerText('#client-id')]))
  })

  test('the same on NATS', async () => {
    const server = RUNNING_NATS === undefined ? await startNats() : undefined
    const { user, pass } = ADMIN
    const url = RUNNING_NATS ?? `nats://${user}:${pass}@127.0.0.1:${server!.port}`
    const onNats = await startDemo({ NATS_URL: url })
    const itsProxy = await tcpProxy(onNats.port)
    try {
      const itsPage = await open({ width: 1440, height: 900 }, itsProxy)
      expect(await itsPage.innerText('#broker')).toContain('NATS at')
      await moved(itsPage, ['tick.1', 'ticker.BIFR'])
      itsProxy.cut()
      await itsPage.waitForSelector('#report[data-kind=good]')
      await moved(itsPage, ['tick.1', 'ticker.BIFR'])
      await expectExactlyOnce(itsPage)
      await itsPage.close()
    } finally {
      await itsProxy.close()
      expect(await onNats.stop()).toMatchObject({ code: 0, stderr: '' })
      await server?.stop()
    }
  })

  test('the button drops the connection, and the page says what was caught up', async () => {
    await until('messages', received(40))
    await page.click('text=Drop the connection')
    await state(page, 'reconnecting')
    expect(await page.innerText('#report')).toContain('Connection lost')
    await page.waitForSelector('#report[data-kind=good]')
    expect(await page.innerText('#report')).toMatch(/^Back after .* caught up, 0 missing\.$/)
    await expectExactlyOnce(page)
  })

  test('topics switch on and off, with the mouse and with the keyboard, one by one and all', async () => {
    const pressed = (topic: string) => page.getAttribute(`[data-topic="${topic}"]`, 'aria-pressed')
    const count = async (topic: string) => (await sequences(page)).get(topic)?.length ?? 0
    await moved(page, ['tick.1', 'tick.2', 'tick.3'])

    const answered = page.waitForResponse(/update_subscriptions/)
    await page.click('[data-topic="tick.2"]')
    const answer = (await (await answered).json()) as { topics: string[] }
    expect(answer.topics).not.toContain('tick.2')
    expect(await pressed('tick.2')).toBe('false')
    await moved(page, ['tick.1', 'tick.3'])
    const before = await count('tick.2')
    await moved(page, ['tick.1', 'tick.3'])
    expect(await count('tick.2')).toBe(before)

    await page.focus('[data-topic="tick.2"]')
    await page.keyboard.press('Space')
    await moved(page, ['tick.2'])
    expect(await pressed('tick.2')).toBe('true')

    await page.click('text=All off')
    await until(
      'all off',
      async () => (await page.locator('.tile[aria-pressed=true]').count()) === 0,
    )
    await moved(page, ['ticker.BIFR', 'ticker.ASGD'])
    await page.click('text=All on')
    await moved(page, ['tick.1', 'tick.2', 'tick.12'])
    // What was sent while a topic was off was not for this page: it counts as neither.
    expect([await number(page, 'missing'), await number(page, 'doubled')]).toEqual([0, 0])
  })

  test('topics that were switched while the connection was down are right after it', async () => {
    await moved(page, ['tick.1', 'tick.4'])
    await page.click('text=Drop the connection')
    await state(page, 'reconnecting')
    for (const topic of ['tick.4', 'tick.5', 'tick.5']) {
      const answered = page.waitForResponse(/update_subscriptions/)
      await page.click(`[data-topic="${topic}"]`)
      await (await answered).finished()
    }
    await page.waitForSelector('#report[data-kind=good]')
    await moved(page, ['tick.1', 'tick.5'])
    expect([await number(page, 'missing'), await number(page, 'doubled')]).toEqual([0, 0])
    const config = (await seen(page)).findLast(({ data }) => data.startsWith('{"config"'))
    const { subscriptions } = JSON.parse(config!.data) as { subscriptions: string[] }
    expect(subscriptions).toContain('tick.5')
    expect(subscriptions).not.toContain('tick.4')
  })

  test('two tabs: likes and chat reach both, as text, and a later one gets the last ten', async () => {
    const other = await open({ width: 390, height: 844 })
    await page.click('#like')
    await page.click('#like')
    for (const tab of [page, other]) {
      await until('two likes', async () => (await tab.innerText('#likes')) === '2')
    }
    const nasty = '<img src=x onerror="document.title=1"> & "text"'
    await page.fill('#chat-name', '<b>Ann</b>')
    for (let said = 1; said <= 12; said++) {
      await page.fill('#chat-text', said === 12 ? nasty : `number ${said}`)
      await page.press('#chat-text', 'Enter')
      const last = other.locator('#chat li').last()
      await until('the message', async () =>
        (await last.innerText().catch(() => '')).endsWith(said === 12 ? nasty : `number ${said}`),
      )
    }
    expect(await other.locator('#chat li').last().innerText()).toContain('<b>Ann</b>')
    const third = await open({ width: 800, height: 900 })
    await until('ten messages', async () => (await third.locator('#chat li').count()) === 10)
    expect(await third.locator('#chat li').first().innerText()).toContain('number 3')
    expect(await third.innerText('#likes')).toBe('2')
    expect(await third.title()).toBe('unifrost demo')
    await expectExactlyOnce(page)
    await expectExactlyOnce(other)
    await expectExactlyOnce(third)
  })

  test('a client that the server no longer knows is replaced by the page', async () => {
    await until('messages', received(30))
    const id = await page.innerText('#client-id')
    const gone = await fetch(`${demo.url}/clients?id=${id}`, { method: 'DELETE' })
    expect(gone.status).toBe(204)
    await until('a new client', async () => (await page.innerText('#client-id')) !== id)
    await state(page, 'connected')
    expect(await page.innerText('#report')).toContain('expired')
    await moved(page, ['tick.1', 'tick.12', 'ticker.BIFR'])
    expect([await number(page, 'missing'), await number(page, 'doubled')]).toEqual([0, 0])
    expect((await seen(page)).map(({ data }) => data)).toContain('Client closed')
  })

  test('a page whose client is connected elsewhere lets go of it and says so', async () => {
    const id = await page.innerText('#client-id')
    const other = await fetch(`${demo.url}/events?id=${id}`)
    await state(page, 'closed')
    expect(await page.innerText('#report')).toContain('Reload')
    await other.body!.cancel()
    await page.reload()
    await state(page, 'connected')
    expect(await page.innerText('#client-id')).not.toBe(id)
  })

  test('messages-lost is shown plainly, once for all topics of a moment', async () => {
    const lost = ['tick.3', 'chat'].map((topic) =>
      JSON.stringify({ error: { topic, code: 'messages-lost', message: 'Some are missing.' } }),
    )
    await page.route(
      '**/events?*',
      (route) =>
        route.fulfill({
          contentType: 'text/event-stream',
          body: `retry: 500\n${lost.map((data) => `data: ${data}\n\n`).join('')}`,
        }),
      { times: 1 },
    )
    await page.click('text=Drop the connection')
    const notice = page.locator('.notice')
    await notice.waitFor()
    expect(await notice.count()).toBe(1)
    expect(await notice.innerText()).toMatch(/messages-lost: .* tick\.3, chat/)
    await page.waitForSelector('#report[data-kind=good]')
    await page.click('text=Dismiss')
    await until('no notice', async () => (await notice.count()) === 0)
    await expectExactlyOnce(page)
  })

  test('the page counts what is missing, doubled and out of order', async () => {
    const counts = await page.evaluate(`(async () => {
    const { Ledger } = await import('/ledger.js')
    const ledger = new Ledger()
    const answers = [5, 6, 9, 9, 7, 7, 10, 6].map((seq) => ledger.record('a', 'x', seq))
    answers.push(ledger.record('a', 'y', 1), ledger.record('b', 'x', 1))
    ledger.forget('a')
    answers.push(ledger.record('a', 'x', 20), ledger.record('b', 'x', 3))
    const { received, missing, doubled, disordered } = ledger
    return { answers: answers.join(' '), received, missing, doubled, disordered }
  })()`)
    expect(counts).toEqual({
      answers: 'first next gap doubled disordered doubled next doubled first first first gap',
      received: 12,
      missing: 2,
      doubled: 3,
      disordered: 1,
    })
  })

  test.each([320, 390, 768, 1440])('nothing overflows in a window of %d pixels', async (width) => {
    const sized = await open({ width, height: 844 })
    await until('a few events', async () => (await sized.locator('#event-rows tr').count()) > 20)
    const [content, view] = await sized.evaluate<[number, number]>(
      '[document.documentElement.scrollWidth, document.documentElement.clientWidth]',
    )
    expect(content).toBeLessThanOrEqual(view)
  })

  test.each([320, 390, 768, 1000, 1440])(
    'nothing moves in a window of %d pixels, however long a number is',
    async (width) => {
      const sized = await open({ width, height: 844 })
      await until('a few events', async () => (await sized.locator('#event-rows tr').count()) > 20)
      const texts = ['0', '88', '1,234', '99,999', '888,888,888']
      // In one go, so that nothing arrives in between.
      const [first, ...others] = await sized.evaluate<string[][]>(`${JSON.stringify(texts)}
        .map((text) => {
          const numbers = document.querySelectorAll(
            'dd, .state-time, .like-count, .tile-seq, .tile-late, .ticker-price > span')
          for (const number of numbers) number.firstChild
            ? number.firstChild.nodeValue = text
            : number.textContent = text
          return (${PLACES})()
        })`)
      for (const other of others) expect(other).toEqual(first)
    },
  )

  test('nothing moves as data arrives, and pausing holds the raw events', async () => {
    const places = () => page.evaluate(`(${PLACES})()`)
    await moved(page, ['tick.12', 'ticker.SLPN'])
    const before = await places()
    await page.click('#pause')
    const first = await page.innerText('#event-rows tr:first-child')
    await moved(page, ['tick.1', 'tick.12'])
    expect(await page.innerText('#event-rows tr:first-child')).toBe(first)
    expect(await places()).toEqual(before)
    await page.click('#pause')
    await until('newer events', async () => {
      return (await page.innerText('#event-rows tr:first-child')) !== first
    })
    expect(await page.locator('#event-rows tr').count()).toBeLessThanOrEqual(100)
  })
})
