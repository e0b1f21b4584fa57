import { memoryDriver } from '../../../src/drivers/memory.js'
import { DirectoryUnavailableError } from '../../../src/errors.js'
import { Streamer } from '../../../src/streamer.js'
import { FakeEngine } from '../../support/fake-directory.js'
import { FakeResponse, fakeRequest } from '../../support/fake-response.js'
import { ManualClock } from '../../support/manual-clock.js'
import { Page, turns } from '../../support/stage.js'

/** A server that has just begun to listen, and whose directory is not open yet. */
class Beginner {
  readonly engine = new FakeEngine()
  readonly clock = new ManualClock()
  readonly before: Streamer
  readonly streamer: Streamer
  open: () => void = () => undefined
  fail: (error: Error) => void = () => undefined

  constructor() {
    this.before = new Streamer(memoryDriver(), { directory: this.engine.directory() })
    this.engine.gate = async (verb) => {
      if (verb === 'open')
        await new Promise<void>((open, fail) => Object.assign(this, { open, fail }))
    }
    this.streamer = new Streamer(memoryDriver(), {
      directory: this.engine.directory(),
      clock: this.clock,
    })
  }

  /** Each call that needs the directory. */
  calls(): Record<string, () => Promise<unknown>> {
    const { streamer } = this
    return {
      stream: () => this.stream('page'),
      newClient: () => streamer.newClient(),
      newCustomClient: () => streamer.newCustomClient('made'),
      findClient: () => streamer.findClient('page'),
      subscribe: () => streamer.subscribe('page', 'a'),
      unsubscribe: () => streamer.unsubscribe('page', 'a'),
      totals: () => streamer.totals(),
      clientsOf: () => streamer.clientsOf('a'),
      removeClient: () => streamer.removeClient('page'),
    }
  }

  async stream(id: string): Promise<FakeResponse> {
    const response = new FakeResponse()
    await this.streamer.handle(fakeRequest(id), response.asResponse)
    return response
  }

  async close(): Promise<void> {
    this.open()
    await this.before.close()
    await this.streamer.close()
  }
}

let it: Beginner
beforeEach(async () => {
  it = new Beginner()
  await it.before.open()
  await it.before.newCustomClient('page')
})
afterEach(() => it.close())

test.each(Object.keys(new Beginner().calls()))(
  '%s waits for the first opening of the directory',
  async (call) => {
    let settled = false
    const answer = it.calls()[call]!().finally(() => (settled = true))
    await turns()
    expect(settled).toBe(false)
    it.open()
    await answer
  },
)

test('a page that comes back at once has its stream when the directory is open', async () => {
  const coming = it.stream('page')
  await turns()
  it.open()
  const response = await coming
  expect(response.statusCode).toBe(200)
  expect(new Page(response).got).toEqual([])
})

test('the opening is waited for at most five seconds', async () => {
  const making = it.streamer.newCustomClient('made')
  const coming = it.stream('page')
  it.engine.goAway()
  let settled = false
  void making.catch(() => (settled = true))
  it.clock.advance(4_999)
  await turns()
  expect(settled).toBe(false)
  it.clock.advance(1)
  await expect(making).rejects.toThrow(DirectoryUnavailableError)
  expect((await coming).statusCode).toBe(503)
})

test('an opening that has failed is not waited for', async () => {
  const making = it.streamer.newCustomClient('made')
  it.engine.goAway()
  it.fail(new Error('nobody there'))
  await expect(making).rejects.toThrow(DirectoryUnavailableError)
  await expect(it.streamer.newCustomClient('made')).rejects.toThrow(DirectoryUnavailableError)
})

test('a server that closes before its directory is open does not wait for it', async () => {
  const making = it.streamer.newCustomClient('made')
  const closing = it.streamer.close()
  await expect(making).rejects.toThrow()
  it.open()
  await closing
})
