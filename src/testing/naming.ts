import type { Definition } from './bench.js'
import { check } from './until.js'

/** Rule 8: a name that means more than one topic is told by its name alone. */
export const naming: readonly Definition[] = [
  {
    rule: 8,
    name: 'names that mean more to the broker than one topic are told from plain ones',
    async run(bench) {
      const driver = await bench.driver()
      const { wildcard = [], internal = [] } = bench.harness.special ?? {}
      const names = [
        ...wildcard.map((name) => [name, 'wildcard'] as const),
        ...internal.map((name) => [name, 'internal'] as const),
        [await bench.topic('plain'), 'plain'] as const,
      ]
      for (const [name, kind] of names) {
        const got = driver.kindOf?.(name) ?? 'plain'
        check(got === kind, `kindOf says of ${JSON.stringify(name)}: ${got}. It is ${kind}.`)
      }
    },
  },
]
