import { availableParallelism } from 'node:os'

// Sources and tests are compiled to CommonJS, which is what users' Jest runs as well. Packages
// that exist as ES modules only have to go through the same mill.
const esmOnly = ['jose', 'uuid', 'light-my-request/node_modules/cookie', 'cookie']

const swc = (parser) => [
  '@swc/jest',
  {
    swcrc: false,
    sourceMaps: 'inline',
    module: { type: 'commonjs' },
    jsc: { parser, target: 'es2022', keepClassNames: true },
  },
]

/** `npm test`: everything that needs nothing but Node. */
export default {
  // `src` and `middleware` hold no tests: with them `--findRelatedTests` sees which tests reach a file.
  roots: ['<rootDir>/test', '<rootDir>/src', '<rootDir>/middleware'],
  testMatch: ['**/*.test.ts'],
  testPathIgnorePatterns: ['/node_modules/', '\\.real\\.test\\.ts$'],
  testEnvironment: 'node',
  testTimeout: 10_000,
  transform: {
    '\\.tsx?$': swc({ syntax: 'typescript', decorators: true }),
    '\\.m?js$': swc({ syntax: 'ecmascript' }),
  },
  transformIgnorePatterns: [`/node_modules/(?!(${esmOnly.join('|')})/)`],
  moduleNameMapper: {
    // As in tsconfig.json: inside the repo the package's name means its sources.
    '^unifrost$': '<rootDir>/src/index.ts',
    '^unifrost/(express|koa|fetch|fastify|nest)$': '<rootDir>/middleware/$1.ts',
    '^unifrost/((?:drivers|directories)/.*)$': '<rootDir>/src/$1.ts',
    '^unifrost/(driver-kit|hub|runs|testing)$': '<rootDir>/src/$1/index.ts',
    '^unifrost/testing/app$': '<rootDir>/src/testing/app.ts',
    // TypeScript's sources name the file that will exist; packages name the one that does.
    '^(\\.{1,2}/.*)\\.js$': ['$1.js', '$1.ts'],
  },
  setupFiles: ['<rootDir>/test/support/end-in-order.ts'],
  setupFilesAfterEnv: ['<rootDir>/test/support/leaks.ts'],
  reporters: ['default', '<rootDir>/test/support/summary-reporter.mjs'],
  // One more than there are cores: a good part of the tests waits for timers and other processes.
  maxWorkers: Math.min(4, availableParallelism() + 1),
}
