import { isIP, isIPv6 } from 'node:net'

/**
 * The name under which a network address is counted: an IPv4 address, or the network of an IPv6
 * address, since one user has 2^64 of them. Undefined for an empty address, which is none.
 *
 * @param prefix How many bits of an IPv6 address count, from 1 to 128.
 */
export function networkOf(address: string | undefined, prefix: number): string | undefined {
  const plain = withoutPort(address?.trim() ?? '')
  if (plain === '') return undefined
  if (!isIPv6(plain)) return plain
  const groups = groupsOf(plain)
  // An IPv4 address in IPv6's form, as a server that listens on both gets it.
  if (groups.slice(0, 5).every((group) => group === 0) && groups[5] === 0xffff) {
    return [groups[6]! >> 8, groups[6]! & 255, groups[7]! >> 8, groups[7]! & 255].join('.')
  }
  const kept = groups.map((group, index) => {
    const bits = Math.min(16, Math.max(0, prefix - index * 16))
    return group & (0xffff << (16 - bits)) & 0xffff
  })
  return `${kept.map((group) => group.toString(16)).join(':')}/${prefix}`
}

/** Some proxies append the port, which is another one for each connection. */
function withoutPort(address: string): string {
  const host = /^\[(.*)\](?::\d+)?$/.exec(address)?.[1] ?? /^([\d.]+):\d+$/.exec(address)?.[1]
  return host !== undefined && isIP(host) > 0 ? host : address
}

/** The eight groups of an IPv6 address. */
function groupsOf(address: string): number[] {
  const [plain = ''] = address.split('%')
  const text = plain.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.map(Number)
    return `${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`
  })
  const [head = '', tail] = text.split('::')
  const numbers = (part: string) =>
    part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16))
  const first = numbers(head)
  if (tail === undefined) return first
  const last = numbers(tail)
  return [...first, ...Array<number>(8 - first.length - last.length).fill(0), ...last]
}
