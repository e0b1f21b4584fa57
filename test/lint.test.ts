import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

// ESLint starts up here, which takes longer where everything runs at once.
jest.setTimeout(60_000)

// Each snippet breaks, or keeps, one rule of docs/architecture.md. What is expected is the rule
// that says so, or nothing.
const snippets: [what: string, path: string, code: string, rule: string | undefined][] = [
  ['the core uses a framework', 'src/service/x.ts', "import 'express'", 'layers'],
  [
    'the core uses a framework for types',
    'src/service/x.ts',
    "import type {} from 'koa'",
    'layers',
  ],
  ['the core uses a broker library', 'src/service/x.ts', "export * from 'nats'", 'layers'],
  ['the core loads a broker library', 'src/service/x.ts', "await import('nats')", 'layers'],
  ['the core requires a package', 'src/service/x.ts', "require('cookie')", 'layers'],
  [
    'the core names a type of a package',
    'src/service/x.ts',
    "let a: import('jose').JWK; a",
    'layers',
  ],
  ['the core uses a driver', 'src/service/x.ts', "import '../drivers/memory.js'", 'layers'],
  [
    'the core uses the middleware',
    'src/http/x.ts',
    "import '../../middleware/stream.js'",
    'layers',
  ],
  ['the core uses the index', 'src/http/x.ts', "import '../index.js'", 'layers'],
  ['the core uses Node', 'src/service/x.ts', "import 'node:http'", undefined],
  ['the core uses the core', 'src/wire/x.ts', "import '../errors.js'", undefined],
  ['a wing uses one below', 'src/delivery/x.ts', "import '../wire/frame.js'", undefined],
  ['a wing uses one above', 'src/delivery/x.ts', "import '../service/topics.js'", 'layers'],
  [
    'a wing names one above',
    'src/wire/x.ts',
    "import type {} from '../delivery/client.js'",
    'layers',
  ],
  ['a wing uses its neighbour', 'src/http/x.ts', "import '../cluster/record.js'", 'layers'],
  ['a wing uses the Streamer', 'src/http/x.ts', "import '../streamer.js'", 'layers'],
  ['the ground uses a wing', 'src/options.ts', "import './wire/frame.js'", 'layers'],
  ['the middleware reaches past', 'middleware/x.ts', "import '../src/http/stream.js'", 'layers'],
  ['the index has the memory driver', 'src/index.ts', "import './drivers/memory.js'", undefined],
  ['the index has another driver', 'src/index.ts', "import './drivers/nats.js'", 'layers'],
  ['a driver uses the core', 'src/drivers/nats.ts', "import '../streamer.js'", 'layers'],
  ['a driver uses another', 'src/drivers/nats.ts', "import './memory.js'", 'layers'],
  ['a driver drags in its library', 'src/drivers/kafka.ts', "import 'kafkajs'", 'layers'],
  ['a driver loads its library', 'src/drivers/kafka.ts', "await import('kafkajs')", undefined],
  ['a driver names it', 'src/drivers/kafka.ts', "import type {} from 'kafkajs'", undefined],
  ['a driver uses the kit', 'src/drivers/nats.ts', "import '../driver-kit/index.js'", undefined],
  ['the kit uses a driver', 'src/driver-kit/x.ts', "import '../drivers/nats.js'", 'layers'],
  ['the kit uses a library', 'src/driver-kit/x.ts', "import type {} from 'nats'", 'layers'],
  [
    'a driver uses its broker',
    'src/drivers/nats.ts',
    "import '../brokers/nats/link.js'",
    undefined,
  ],
  [
    'a driver uses another broker',
    'src/drivers/kafka.ts',
    "import '../brokers/nats/link.js'",
    'layers',
  ],
  ['a driver uses the seam', 'src/drivers/nats.ts', "import '../driver.js'", undefined],
  ['a driver has no layer yet', 'src/drivers/new.ts', "import '../driver.js'", 'layers'],
  [
    'a directory uses the core',
    'src/directories/redis.ts',
    "import '../cluster/cluster.js'",
    'layers',
  ],
  [
    'a directory uses a driver',
    'src/directories/redis.ts',
    "import '../drivers/redis.js'",
    'layers',
  ],
  ['a directory uses the seam', 'src/directories/redis.ts', "import '../directory.js'", undefined],
  ['the core uses a directory', 'src/cluster/x.ts', "import '../directories/redis.js'", 'layers'],
  ['the suite uses the core', 'src/testing/x.ts', "import '../streamer.js'", 'layers'],
  ['the suite uses a driver', 'src/testing/x.ts', "import '../drivers/memory.js'", 'layers'],
  ['the suite uses the errors', 'src/testing/x.ts', "import '../errors.js'", undefined],
  ['the logic uses a framework', 'middleware/x.ts', "import type {} from 'express'", 'layers'],
  ['the logic uses an adapter', 'middleware/x.ts', "import './koa.js'", 'layers'],
  ['the logic uses a driver', 'middleware/x.ts', "import '../src/drivers/nats.js'", 'layers'],
  ['the logic drags in jose', 'middleware/x.ts', "import 'jose'", 'layers'],
  ['the logic uses the core', 'middleware/x.ts', "import '../src/index.js'", undefined],
  ['an adapter drags in its framework', 'middleware/koa.ts', "import 'koa'", 'layers'],
  ['an adapter names it', 'middleware/koa.ts', "import type {} from 'koa'", undefined],
  ['an adapter names another', 'middleware/koa.ts', "import type {} from 'express'", 'layers'],
  ['an example uses sources', 'examples/x.ts', "import '../src/index.js'", 'layers'],
  ['an example uses the package', 'examples/x.ts', "import 'unifrost'", undefined],
  ['a circle', 'src/wire/encode.ts', "import { Frame } from './frame.js'\nnew Frame()", 'cycles'],
  ['a circle of types', 'src/wire/encode.ts', "import type {} from './frame.js'", 'cycles'],
  ['a circle of types', 'src/wire/encode.ts', "let a: import('./frame.js').Frame; a", 'cycles'],
  [
    'the one circle of types',
    'src/delivery/topic.ts',
    "import type {} from './client.js'",
    undefined,
  ],
  ['a circle', 'src/delivery/history.ts', "export * from './delivery.js'", 'cycles'],
  ['a circle', 'middleware/body.ts', "export * from './clients.js'", 'cycles'],
  ['a circle', 'test/support/until.ts', "import './http-server.js'", 'cycles'],
  ['no circle', 'test/x.ts', "import './support/http-server.js'", undefined],
  ['the console', 'src/http/x.ts', "console.log('here')", 'no-console'],
  ['the console', 'middleware/x.ts', "console.log('here')", 'no-console'],
  ['an empty catch', 'src/http/x.ts', 'try { await 0 } catch { /* no */ }', 'no-restricted-syntax'],
  ['an empty catch', 'src/http/x.ts', 'void f().catch(() => {})', 'no-restricted-syntax'],
  ['an empty catch', 'test/x.ts', 'try { await 0 } catch {}', 'no-empty'],
  ['one test only', 'test/x.ts', 'test.only()', 'no-restricted-syntax'],
  ['a table of tests only', 'test/x.ts', 'describe.only.each([])()', 'no-restricted-syntax'],
  ['a skipped test', 'test/x.ts', 'it.skip()', 'no-restricted-syntax'],
  ['a skipped test', 'test/x.ts', 'xit()', 'no-restricted-syntax'],
  ['a sleep', 'test/x.ts', 'await new Promise((r) => setTimeout(r, 9))', 'no-restricted-syntax'],
  ['a sleep', 'test/x.ts', "import { setTimeout } from 'node:timers/promises'", 'no-restricted'],
  ['a bound', 'test/x.ts', 'setTimeout(() => fail(), 9)', undefined],
]

test('the rules of the layers and of the tests fire where they should, and only there', () => {
  const found: string[][] = JSON.parse(
    execFileSync(process.execPath, [join(__dirname, 'support/lint-snippets.mjs')], {
      cwd: join(__dirname, '..'),
      input: JSON.stringify(snippets.map(([, path, code]) => ({ path, code }))),
      encoding: 'utf8',
    }),
  )
  const wrong = snippets.flatMap(([what, path, , rule], at) => {
    // Snippets are too short to please the rules of style.
    const said = found[at]!.filter((message) => !/no-unused|no-require-imports/.test(message))
    const right = rule === undefined ? said.length === 0 : said.some((text) => text.includes(rule))
    return right ? [] : [{ what, path, expected: rule ?? 'nothing', said }]
  })
  expect(wrong).toEqual([])
})
