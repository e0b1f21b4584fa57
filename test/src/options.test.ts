import { memoryDriver } from '../../src/drivers/memory.js'
import { OptionsError } from '../../src/errors.js'
import type { StreamerOptions } from '../../src/options.js'
import { settingsFrom } from '../../src/options.js'
import { Streamer } from '../../src/streamer.js'

test('the defaults', () => {
  expect(settingsFrom()).toMatchObject({
    clientTTL: 60_000,
    history: { maxBytes: 67_108_864, maxBytesPerTopic: 8_388_608, maxAge: 120_000 },
    topicLinger: 5_000,
    slowClientTimeout: 30_000,
    heartbeat: 'comment',
    heartbeatInterval: 25_000,
    maxConnectionAge: 0,
    maxTopics: 256,
    maxTopicLength: 1_024,
    maxClients: Infinity,
    retry: { min: 2_000, max: 5_000 },
    passingRefusals: 'stream',
  })
})

test('defaults follow the options that they depend on', () => {
  expect(settingsFrom({ clientTTL: 10 }).history.maxAge).toBe(60_010)
  expect(settingsFrom({ history: { maxBytes: 81 } }).history.maxBytesPerTopic).toBe(11)
  expect(settingsFrom({ retry: { min: 9_000 } }).retry).toEqual({ min: 9_000, max: 9_000 })
  expect(settingsFrom({ retry: { max: 10 } }).retry).toEqual({ min: 10, max: 10 })
  expect(settingsFrom({ clientTTL: 2 ** 31 - 1 }).history.maxAge).toBe(2 ** 31 - 1)
})

test('an undefined option gets its default', () => {
  expect(settingsFrom({ clientTTL: undefined } as unknown as StreamerOptions).clientTTL).toBe(
    60_000,
  )
})

const duration = 'takes a number from'
const bad: [object, string, string, string][] = [
  [{ clientTTL: -1 }, 'clientTTL', 'got -1', `${duration} 1`],
  [{ clientTTL: 0 }, 'clientTTL', 'got 0', `${duration} 1`],
  [{ clientTTL: NaN }, 'clientTTL', 'got NaN', duration],
  [{ clientTTL: Infinity }, 'clientTTL', 'got Infinity', duration],
  [{ clientTTL: '60000' }, 'clientTTL', 'got "60000"', duration],
  [{ clientTTL: null }, 'clientTTL', 'got null', duration],
  [{ clientTTL: 2 ** 31 }, 'clientTTL', 'got 2147483648', '2147483647'],
  [{ history: 5 }, 'history', 'got 5', 'takes an object'],
  [{ history: null }, 'history', 'got null', 'takes an object'],
  [{ history: { maxBytes: 0 } }, 'history.maxBytes', 'got 0', `${duration} 1`],
  [{ history: { maxBytesPerTopic: NaN } }, 'history.maxBytesPerTopic', 'got NaN', duration],
  [{ history: { maxAge: -5 } }, 'history.maxAge', 'got -5', duration],
  [{ history: { maxage: 5 } }, 'history.maxage', 'no option', 'maxBytes, maxBytesPerTopic, maxAge'],
  [{ topicLinger: -1 }, 'topicLinger', 'got -1', `${duration} 0`],
  [{ slowClientTimeout: 0 }, 'slowClientTimeout', 'got 0', `${duration} 1`],
  [{ heartbeat: 'off' }, 'heartbeat', 'got "off"', '"comment" or "message"'],
  [{ heartbeatInterval: {} }, 'heartbeatInterval', 'got an object', duration],
  [{ maxConnectionAge: [] }, 'maxConnectionAge', 'got an array', duration],
  [{ maxTopics: 0 }, 'maxTopics', 'got 0', 'a whole number from 1, or Infinity'],
  [{ maxTopics: 1.5 }, 'maxTopics', 'got 1.5', 'a whole number'],
  [{ maxTopicLength: '1' }, 'maxTopicLength', 'got "1"', 'a whole number'],
  [{ maxClients: NaN }, 'maxClients', 'got NaN', 'a whole number'],
  [{ retry: { min: -1 } }, 'retry.min', 'got -1', duration],
  [{ retry: { min: 9, max: 3 } }, 'retry.min (9)', 'above', 'retry.max (3)'],
  [{ logger: console.log }, 'logger', 'got a function', 'methods debug, info, warn, error'],
  [{ logger: { info() {} } }, 'logger', 'got an object', 'methods debug, info, warn, error'],
  [{ clock: { now: () => 0 } }, 'clock', 'got an object', 'methods now, setTimeout, clearTimeout'],
  [{ random: 0.5 }, 'random', 'got 0.5', 'a function'],
  [{ newId: 'x' }, 'newId', 'got "x"', 'a function'],
  [{ history: { maxBytes: 5, maxBytesPerTopic: 6 } }, 'maxBytesPerTopic (6)', 'above', '(5)'],
  [{ takeoverTimeout: 5 }, 'takeoverTimeout', 'directory', 'none is given'],
  [{ maxDirectoryOutage: 5 }, 'maxDirectoryOutage', 'directory', 'none is given'],
  [{ ipv6Prefix: 129 }, 'ipv6Prefix', 'got 129', 'a whole number from 1 to 128'],
  [{ clientTtl: 5 }, 'clientTtl', 'no option', 'It has clientTTL, history'],
  [{ constructor: 5 }, 'constructor', 'no option', 'It has clientTTL'],
]

test.each(bad)('%j is refused by name, with what it got and what it takes', (options, ...parts) => {
  const make = () => new Streamer(memoryDriver(), options)
  expect(make).toThrow(OptionsError)
  for (const part of parts) expect(make).toThrow(part)
})

test.each([null, 5, 'x'])('options that are %j are refused', (options) => {
  expect(() => settingsFrom(options as unknown as StreamerOptions)).toThrow(OptionsError)
})

test.each([undefined, null, {}, 'nats://localhost'])('a driver that is %j is refused', (driver) => {
  const make = () => new Streamer(driver as never)
  expect(make).toThrow('takes a driver first')
})
