import { networkOf } from '../../src/http/address.js'

test.each([
  ['10.0.0.1', '10.0.0.1'],
  ['10.0.0.1:5678', '10.0.0.1'],
  ['::ffff:10.0.0.1', '10.0.0.1'],
  ['::ffff:a00:1', '10.0.0.1'],
  ['2001:db8:0:1::1', '2001:db8:0:1:0:0:0:0/64'],
  ['2001:DB8:0:1:ffff:ffff:ffff:ffff', '2001:db8:0:1:0:0:0:0/64'],
  ['[2001:db8:0:1::2]:443', '2001:db8:0:1:0:0:0:0/64'],
  ['fe80::1%eth0', 'fe80:0:0:0:0:0:0:0/64'],
  ['::1', '0:0:0:0:0:0:0:0/64'],
  ['unknown', 'unknown'],
  [' ', undefined],
  ['', undefined],
  [undefined, undefined],
])('%p is counted as %p', (address, network) => {
  expect(networkOf(address, 64)).toBe(network)
})

test('the prefix may be of any length', () => {
  expect(networkOf('2001:db8:12ff::1', 40)).toBe('2001:db8:1200:0:0:0:0:0/40')
  expect(networkOf('2001:db8::1', 128)).toBe('2001:db8:0:0:0:0:0:1/128')
  expect(networkOf('ffff::', 1)).toBe('8000:0:0:0:0:0:0:0/1')
})
