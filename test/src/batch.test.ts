import { OptionsError } from '../../src/index.js'
import type { Page } from '../support/stage.js'
import { Stage, turns } from '../support/stage.js'

let stage: Stage
afterEach(() => stage.dispose())

/** How often the page's response has been written to since this was called last. */
async function writes(page: Page): Promise<() => number> {
  await turns()
  const write = jest.spyOn(page.response, 'write')
  return () => {
    const { length } = write.mock.calls
    write.mockClear()
    return length
  }
}

test('messages wait for each other until the first has waited maxDelay, and are one write', async () => {
  stage = new Stage({ batch: { maxDelay: 50 } })
  await stage.client('a', 'ticker')
  const page = await stage.connect('a')
  const written = await writes(page)
  for (const text of ['1', '2', '3']) {
    stage.driver.publish('ticker', text)
    await stage.wait(20)
  }
  // 60 ms have passed: the first has waited 50, and the third was there by then.
  expect(page.got).toEqual(['ticker=1', 'ticker=2', 'ticker=3'])
  expect(written()).toBe(1)
  stage.driver.publish('ticker', '4')
  await stage.wait(49)
  expect(page.got).toHaveLength(3)
  await stage.wait(1)
  expect(page.got).toHaveLength(4)
})

test('without it, a message waits for nothing', async () => {
  stage = new Stage()
  await stage.client('a', 'ticker')
  const page = await stage.connect('a')
  stage.driver.publish('ticker', '1')
  await turns()
  expect(page.got).toEqual(['ticker=1'])
})

test('a topic may wait less than another; what waits goes out with it, in order', async () => {
  stage = new Stage({ batch: { maxDelay: (topic) => (topic === 'ticker' ? 100 : 0) } })
  await stage.client('a', 'ticker', 'alarm')
  const page = await stage.connect('a')
  const written = await writes(page)
  stage.driver.publish('ticker', '1')
  await turns()
  expect(page.got).toEqual([])
  stage.driver.publish('alarm', 'now')
  await turns()
  expect(page.got).toEqual(['ticker=1', 'alarm=now'])
  expect(written()).toBe(1)
  // Nothing is left that the time of the first would write.
  await stage.wait(100)
  expect(written()).toBe(0)
})

test('a page that comes back meanwhile gets what waits, once', async () => {
  stage = new Stage({ batch: { maxDelay: 1_000 } })
  await stage.client('a', 'ticker')
  const first = await stage.connect('a')
  stage.driver.publish('ticker', '1')
  await stage.wait(10)
  first.cut()
  const second = await stage.connect('a', first.lastEventId)
  expect(second.got).toEqual(['ticker=1'])
  await stage.wait(1_000)
  expect(second.got).toEqual(['ticker=1'])
})

test('a client that is removed gets what waits before the goodbye', async () => {
  stage = new Stage({ batch: { maxDelay: 1_000 } })
  await stage.client('a', 'ticker')
  const page = await stage.connect('a')
  stage.driver.publish('ticker', '1')
  await stage.streamer.removeClient('a')
  expect(page.got).toEqual(['ticker=1', 'Client closed'])
})

test('a function that fails is told, and its topic does not wait', async () => {
  stage = new Stage({ batch: { maxDelay: () => -1 } })
  const errors: string[] = []
  stage.streamer.on('error', (error) => errors.push(error.message))
  await stage.client('a', 'ticker')
  const page = await stage.connect('a')
  stage.driver.publish('ticker', '1')
  await turns()
  expect(page.got).toEqual(['ticker=1'])
  expect(errors).toEqual(['batch.maxDelay failed; the messages of the topic do not wait.'])
})

test.each([[-1], [60_001], ['50'], [NaN], [Infinity]])('maxDelay: %p is refused', (maxDelay) => {
  stage = new Stage()
  expect(() => new Stage({ batch: { maxDelay: maxDelay as never } })).toThrow(OptionsError)
})
