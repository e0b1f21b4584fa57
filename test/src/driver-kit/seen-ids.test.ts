import { SeenIds } from '../../../src/driver-kit/index.js'

describe('ids that were seen', () => {
  test('are known as long as the window, and memory is bounded', () => {
    const seen = new SeenIds(100)
    for (let id = 0; id < 1_000; id++) {
      expect(seen.add(String(id))).toBe(true)
      for (const back of [0, 50, 99]) {
        if (id >= back) expect(seen.add(String(id - back))).toBe(false)
      }
    }
    expect(seen.add('700')).toBe(true)
    seen.clear()
    expect(seen.add('999')).toBe(true)
  })
})
