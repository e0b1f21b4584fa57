import { Closings, driverShell } from 'unifrost/driver-kit'
import type { DriverParts } from 'unifrost/driver-kit'
import { recordingSink } from 'unifrost/testing'

const subscription = () => ({ close: jest.fn(async () => undefined) })

function made(parts: Partial<DriverParts> = {}) {
  const closings = new Closings('Fake')
  const close = jest.fn(async () => undefined)
  const connect = async () => undefined
  const subscribe = async () => subscription()
  return { close, closings, driver: driverShell({ closings, connect, subscribe, close, ...parts }) }
}

const CLOSED = 'This Fake driver has been closed. Make a new one.'

test('after close nothing begins, and closing again gives the same', async () => {
  const { driver, close } = made()
  await driver.connect()
  const closing = driver.close()
  expect(driver.close()).toBe(closing)
  await closing
  expect(close).toHaveBeenCalledTimes(1)
  await expect(driver.connect()).rejects.toThrow(CLOSED)
  await expect(driver.subscribe('x', recordingSink())).rejects.toThrow(CLOSED)
})

test('a topic that is opened while the driver is closed is refused, and closed again', async () => {
  const late = subscription()
  let open: (it: typeof late) => void = () => undefined
  const subscribe = () => new Promise<typeof late>((resolve) => (open = resolve))
  const { driver } = made({ subscribe })
  const subscribing = driver.subscribe('x', recordingSink())
  const closing = driver.close()
  await expect(subscribing).rejects.toThrow(CLOSED)
  open(late)
  await closing
  await Promise.resolve()
  expect(late.close).toHaveBeenCalledTimes(1)
})

test('an error of a subscribe is passed on as it is', async () => {
  const error = new Error('Create the topic.')
  const { driver } = made({ subscribe: () => Promise.reject(error) })
  await expect(driver.subscribe('x', recordingSink())).rejects.toBe(error)
  await driver.close()
})

test('the encoding is utf8, or what was asked for', () => {
  expect(made().driver.encoding).toBe('utf8')
  expect(made({ encoding: 'base64' }).driver.encoding).toBe('base64')
})

test('close waits for what is under way, however that ends', async () => {
  const { driver, closings } = made()
  const ends: (() => void)[] = []
  const work = () => new Promise<void>((resolve) => ends.push(resolve))
  void closings.add(work())
  const refused = closings.add(Promise.reject(new Error('no')))
  await expect(refused).rejects.toThrow('no')
  let closed = false
  const closing = driver.close().then(() => (closed = true))
  void closings.add(work())
  await new Promise(setImmediate)
  expect(closed).toBe(false)
  for (const end of ends) end()
  await closing
})
