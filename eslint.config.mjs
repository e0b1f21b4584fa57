import js from '@eslint/js'
import tseslint from 'typescript-eslint'
import { cyclesRule } from './scripts/eslint/cycles.mjs'
import { layersRule } from './scripts/eslint/layers.mjs'

const typescript = ['**/*.ts']

const exclusiveTests = [
  {
    selector:
      'MemberExpression[object.name=/^(test|it|describe)$/][property.name=/^(only|skip|todo)$/]',
    message: 'A test runs or is gone: no only, skip or todo.',
  },
  {
    selector: 'CallExpression[callee.name=/^([fx](it|describe)|xtest)$/]',
    message: 'A test runs or is gone: no only, skip or todo.',
  },
]

const sleeps = [
  {
    selector:
      'CallExpression[callee.name="setTimeout"][arguments.0.name=/^(r|res|resolve|done|_?)$/]',
    message: 'No sleeps: wait for what the test needs, with a bound.',
  },
  {
    selector:
      'ImportDeclaration[source.value=/timers.promises$/] ImportSpecifier[imported.name="setTimeout"]',
    message: 'No sleeps: wait for what the test needs, with a bound.',
  },
]

const swallowed = [
  {
    selector: 'CatchClause > BlockStatement[body.length=0]',
    message: 'Nothing is swallowed: report it, or say in code why it does not matter.',
  },
  {
    selector:
      'CallExpression[callee.property.name="catch"] > :function > BlockStatement[body.length=0]',
    message: 'Nothing is swallowed: report it, or say in code why it does not matter.',
  },
]

export default tseslint.config(
  { ignores: ['dist/', 'coverage/', '.cache/'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  js.configs.recommended,
  {
    files: ['**/*.js', '**/*.mjs', '**/*.cjs'],
    // Node's and the browser's globals are many; the types of what matters are checked elsewhere.
    rules: {
      'no-undef': 'off',
      // It does not see that `this.#x ??= …` reads.
      'no-unused-private-class-members': 'off',
    },
  },
  {
    files: typescript,
    extends: [tseslint.configs.recommendedTypeChecked],
    languageOptions: {
      parserOptions: { project: 'tsconfig.json', tsconfigRootDir: import.meta.dirname },
    },
    plugins: { unifrost: { rules: { layers: layersRule, cycles: cyclesRule } } },
    rules: {
      'unifrost/cycles': 'error',
      // `typeof import('jose')` is how a package loaded when needed gets its type.
      '@typescript-eslint/consistent-type-imports': ['error', { disallowTypeAnnotations: false }],
      '@typescript-eslint/consistent-type-exports': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': 'error',
      '@typescript-eslint/no-unused-expressions': [
        'error',
        { allowShortCircuit: true, allowTernary: true },
      ],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      '@typescript-eslint/return-await': 'error',
      // `async` also turns what is thrown into a rejection, await or not.
      '@typescript-eslint/require-await': 'off',
      // Frameworks' types declare functions as methods.
      '@typescript-eslint/unbound-method': 'off',
      eqeqeq: ['error', 'always'],
      'no-empty': 'error',
    },
  },
  {
    files: ['src/**/*.ts', 'middleware/**/*.ts', 'examples/**/*.ts'],
    rules: { 'unifrost/layers': 'error' },
  },
  {
    files: ['src/**/*.ts', 'middleware/**/*.ts'],
    rules: {
      // Imports of types make a circle as well.
      'unifrost/cycles': ['error', { types: true }],
      'no-console': 'error',
      'no-restricted-syntax': ['error', ...swallowed],
    },
  },
  {
    // A client, its memberships, their topics and its connection are one machine, and name one another.
    files: ['src/delivery/**/*.ts'],
    rules: { 'unifrost/cycles': ['error', { types: false }] },
  },
  {
    files: ['test/**/*.ts', 'trials/**/*.ts', 'examples/**/*.ts', 'bench/**/*.ts'],
    rules: {
      // Parsed bodies are `any`, and what is wrong with one shows when the test runs.
      '@typescript-eslint/no-explicit-any': 'off',
      '@typescript-eslint/no-unsafe-argument': 'off',
      '@typescript-eslint/no-unsafe-assignment': 'off',
      '@typescript-eslint/no-unsafe-call': 'off',
      '@typescript-eslint/no-unsafe-member-access': 'off',
      '@typescript-eslint/no-unsafe-return': 'off',
      '@typescript-eslint/no-base-to-string': 'off',
      // Servers and frameworks take async handlers where their types say void.
      '@typescript-eslint/no-misused-promises': ['error', { checksVoidReturn: false }],
    },
  },
  {
    // They are there for the compiler only: nothing in them runs.
    files: ['test/types/**/*.ts'],
    rules: {
      '@typescript-eslint/no-unused-vars': 'off',
      '@typescript-eslint/consistent-type-imports': 'off',
    },
  },
  {
    files: ['test/**/*.ts', 'trials/**/*.ts'],
    // Waiting with a bound for what only polling can see is done here and nowhere else.
    ignores: ['test/support/until.ts'],
    rules: {
      'no-restricted-syntax': ['error', ...exclusiveTests, ...sleeps],
    },
  },
)
