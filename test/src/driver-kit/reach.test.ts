import { Closings, driverShell, Reach } from 'unifrost/driver-kit'

beforeEach(() => jest.useFakeTimers())
afterEach(() => jest.useRealTimers())

/** A driver whose broker answers `connect` when the test says so. */
function driver(reach: Reach) {
  const broker = { isUp: false, asked: 0 }
  const shell = driverShell({
    closings: new Closings('Fake'),
    brokerState: reach,
    async connect() {
      broker.asked++
      if (!broker.isUp) throw new Error('connect ECONNREFUSED')
    },
    subscribe: async () => ({ close: async () => undefined }),
    close: async () => undefined,
  })
  return { broker, shell }
}

test('a broker that is away is asked every ten seconds, topics or not, until it answers', async () => {
  const reach = new Reach()
  const { broker, shell } = driver(reach)
  reach.lost(new Error('read ECONNRESET'))
  expect(shell.brokerState?.down).toMatchObject({ reason: 'read ECONNRESET' })
  await jest.advanceTimersByTimeAsync(20_000)
  expect(broker.asked).toBe(2)
  expect(reach.down).toBeDefined()
  broker.isUp = true
  await jest.advanceTimersByTimeAsync(10_000)
  expect(reach.down).toBeUndefined()
  await jest.advanceTimersByTimeAsync(60_000)
  expect(broker.asked).toBe(3)
  await shell.close()
})

test('one that is lost again meanwhile is asked once at a time', async () => {
  const reach = new Reach()
  const { broker, shell } = driver(reach)
  for (let times = 0; times < 3; times++) {
    reach.lost(new Error('lost'))
    await jest.advanceTimersByTimeAsync(1_000)
    reach.found()
  }
  reach.lost(new Error('lost'))
  await jest.advanceTimersByTimeAsync(10_500)
  expect(broker.asked).toBe(1)
  await shell.close()
})

test('a driver that is closed while its broker is away asks no more, and leaves no timer', async () => {
  const reach = new Reach()
  const { broker, shell } = driver(reach)
  reach.lost(new Error('lost'))
  await shell.close()
  await jest.advanceTimersByTimeAsync(60_000)
  expect(broker.asked).toBe(0)
  expect(jest.getTimerCount()).toBe(0)
})
