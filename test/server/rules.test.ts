import { subscribeRules } from '../../src/server/rules.js'
import type { Claims } from '../../src/server/pattern.js'

/** The principals, and their letter in the table. */
const PEOPLE: Record<string, Claims | undefined> = {
  '-': undefined,
  a: { sub: 'ann' },
  b: { sub: 'bob' },
  n: { sub: 7 },
  t: { sub: 'tom', tenant: 'acme' },
  g: { sub: 'gus', topics: ['news', 'x.*.z'] },
  w: { sub: '*' },
  e: { sub: '' },
  i: { sub: 'a.b' },
  p: { sub: 'pat', topics: 'news', tenant: ['acme'] },
}

type Subscribe = 'anyone' | 'authenticated' | 'owner' | 'granted' | 'nobody'

/** Rules (`pattern subscribe`, the first first), a topic, and who may have it: nobody else may. */
const ROWS: readonly [rules: string, topic: string, who: string][] = [
  ['news anyone', 'news', '-abntgweip'],
  ['news anyone', 'news.a', ''],
  ['news anyone', 'New', ''],
  ['news nobody', 'news', ''],
  ['news authenticated', 'news', 'abntgweip'],
  ['news.* anyone', 'news.a', '-abntgweip'],
  ['news.* anyone', 'news.a.b', ''],
  ['news.* anyone', 'news.*', ''],
  ['news.* anyone', 'news.>', ''],
  ['* anyone', 'news.a.b', '-abntgweip'],
  ['* nobody, news anyone', 'news', ''],
  ['news nobody, * anyone', 'news', ''],
  ['news nobody, * anyone', 'other', '-abntgweip'],
  ['users.{sub}.* owner', 'users.ann.x', 'a'],
  ['users.{sub}.* owner', 'users.7.x', 'n'],
  ['users.{sub}.* owner', 'users.*.x', ''],
  ['users.{sub}.* owner', 'users..x', ''],
  ['users.{sub}.* owner', 'users.a.b', ''],
  ['users.{sub}.* owner, * anyone', 'users.bob.x', 'b'],
  ['users.{sub}.* owner', 'users.ann', ''],
  ['tenants.{tenant}.news authenticated', 'tenants.acme.news', 't'],
  ['news granted', 'news', 'g'],
  ['* granted', 'x.y.z', 'g'],
  ['* granted', 'x.*.z', ''],
]

test.each(ROWS)('%s: who may have %s', (rules, topic, who) => {
  const list = rules.split(', ').map((rule) => {
    const [match, subscribe] = rule.split(' ') as [string, Subscribe]
    return { match, subscribe }
  })
  const may = subscribeRules(list)
  const allowed = Object.keys(PEOPLE).filter((letter) => may(PEOPLE[letter], topic))
  expect(allowed.sort().join('')).toBe([...who].sort().join(''))
})
