import { availableParallelism } from 'node:os'
import unit from './jest.config.mjs'

/** `npm run test:all`: with the tests that need a broker, a browser or the packed package. */
export default {
  ...unit,
  testPathIgnorePatterns: ['/node_modules/'],
  // Installing and starting a broker or a browser takes its time on a fresh machine.
  testTimeout: 60_000,
  // Brokers and browsers need the cores themselves.
  maxWorkers: Math.min(4, availableParallelism()),
  reporters: [
    'default',
    '<rootDir>/test/support/figures-reporter.mjs',
    '<rootDir>/test/support/summary-reporter.mjs',
  ],
}
