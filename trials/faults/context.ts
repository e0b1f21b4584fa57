/** What a run was asked for. */
export interface Context {
  seed: number
  /** How long the random part lasts, in milliseconds. */
  duration: number
  /** Whether it is the shorter form, for the test suite. */
  short: boolean
  /** How many clients the random part has, over all brokers. */
  clients: number
  brokers: readonly ('memory' | 'nats' | 'rabbitmq')[]
  say(line: string): void
}
