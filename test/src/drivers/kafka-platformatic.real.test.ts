/** @needs Kafka, and Node 22 from npm */
import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { driverContract } from '../../../src/testing/index.js'
import type { NewerNode } from '../../brokers/kafka.js'
import { newerNode, RUNNING_KAFKA } from '../../brokers/kafka.js'
import { bringKafkaJs, FIGURES, KafkaFixture, kafkaHarness } from './kafka-harness.js'
import type { Target } from './kafka-harness.js'
import { expectLeftOut } from './left-out.js'

// A case may have to wait for those before it.
jest.setTimeout(240_000)

const variants: readonly [name: string, target: Target, find: () => Promise<NewerNode>][] = [
  [
    'version 1 on this Node, by client',
    'client',
    async () => ({ node: process.execPath, library: '@platformatic/kafka' }),
  ],
  ['version 2 on Node 22, by address', 'address', newerNode],
]

describe('kafkaDriver keeps the contract with @platformatic/kafka', () => {
  describe.each(variants)('%s', (_, target, find) => {
    const outcomes = new Map<string, { error?: string }>()
    let changed: () => void = () => undefined
    let child: ChildProcess | undefined
    let output = ''
    let ended: Promise<unknown>
    let isOver = false

    beforeAll(async () => {
      const { node, library } = await find()
      const script = ['--import', 'tsx', 'test/src/drivers/kafka-platformatic.ts', library, target]
      child = spawn(node, script, { stdio: ['ignore', 'pipe', 'pipe'] })
      child.stderr?.on('data', (chunk) => (output += String(chunk)))
      ended = once(child, 'exit').then(() => {
        isOver = true
        changed()
      })
      const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })
      lines.on('line', (line) => {
        const { name, error } = JSON.parse(line) as { name: string; error?: string }
        outcomes.set(name, error === undefined ? {} : { error })
        changed()
      })
    })
    afterAll(async () => {
      if (!isOver) child?.kill('SIGTERM')
      await ended
    })

    async function outcome(name: string) {
      while (!outcomes.has(name) && !isOver) {
        await new Promise<void>((resolve) => (changed = resolve))
      }
      return outcomes.get(name) ?? { error: `It was not run:\n${output}` }
    }

    const harness = kafkaHarness(new KafkaFixture(), target, undefined, bringKafkaJs)
    test.each(driverContract(harness).map(({ name }) => name))('%s', async (name) => {
      expect(await outcome(name)).toEqual({})
    })

    if (target === 'address') {
      test(FIGURES, async () => {
        expect(await outcome(FIGURES)).toEqual({})
      })
    }

    test('the process ends by itself when all is closed, and has nothing to complain of', async () => {
      await ended
      // Of kafkajs, by which the test publishes, on Node 24.
      const known = /^\(node:\d+\) TimeoutNegativeWarning: .*\n.*set to 1\.\n\(Use `node .*\n/m
      const complaints = output.replace(known, '')
      expect({ code: child?.exitCode, complaints }).toEqual({ code: 0, complaints: '' })
    })

    test('nothing is left out but what left-out.json says', () => {
      expectLeftOut(`kafka, ${RUNNING_KAFKA ? 'running already' : `by ${target}`}`, harness)
    })
  })
})
