import { FakeEngine } from '../../support/fake-directory.js'
import { clusterSuite } from './cluster-suite.js'
import { directoryContract } from './contract.js'

describe('the directory that the fast tests stand on', () => {
  const engine = new FakeEngine()
  for (const { name, run } of directoryContract(() => engine.directory())) test(name, run)
})

describe('several servers', () => {
  let engine: FakeEngine
  beforeEach(() => (engine = new FakeEngine()))
  for (const { name, run } of clusterSuite(() => engine.directory())) test(name, run)
})
