/** The topics of the demo and the companies of its ticker, all of them made up. */
export const CHAT = 'chat'
export const LIKES = 'likes'

export const COMPANIES = [
  { symbol: 'BIFR', name: 'Bifrost Bridges', price: 184.2 },
  { symbol: 'ASGD', name: 'Asgard Airways', price: 96.75 },
  { symbol: 'MIDG', name: 'Midgard Mills', price: 42.1 },
  { symbol: 'HEIM', name: 'Heimdall Optics', price: 318.4 },
  { symbol: 'SLPN', name: 'Sleipnir Freight', price: 71.6 },
] as const

export const tickerTopic = (symbol: string): string => `ticker.${symbol}`
export const tickerTopics: readonly string[] = COMPANIES.map(({ symbol }) => tickerTopic(symbol))

/** `tick.1` … `tick.<count>` */
export function tickTopics(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `tick.${index + 1}`)
}
