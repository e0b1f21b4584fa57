import unit from '../../jest.config.mjs'

/** The Jest that test/ending.test.ts starts. */
export default {
  ...unit,
  rootDir: '../..',
  testMatch: ['**/ending.fixture.ts'],
  reporters: ['default'],
  // With a limit Jest takes a worker even for one file.
  workerIdleMemoryLimit: '1GB',
}
