import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, parseDocument, stringify } from 'yaml'
import { z } from 'zod'
import { loadText } from '../src/server/config/load.js'
import { valuesSchema } from '../src/server/config/helm-values.js'

// Helm itself is not to be had everywhere. The templates use few of its forms, and this file knows just
// those: any other form fails here.

const chart = join(__dirname, '../examples/deploy/helm')
const read = (file: string) => readFileSync(join(chart, file), 'utf8')

interface Values {
  [key: string]: unknown
  config: object
  drainSeconds: number
  preStopSeconds: number
}

const defaults = parse(read('values.yaml')) as Values

function at(scope: unknown, path: string): unknown {
  return path
    .slice(1)
    .split('.')
    .reduce((value: unknown, key) => {
      if (value === null || typeof value !== 'object' || !(key in value)) {
        throw new Error(`The values have no ${path}.`)
      }
      return (value as Record<string, unknown>)[key]
    }, scope)
}

const isSet = (value: unknown) =>
  typeof value === 'object' && value !== null ? Object.keys(value).length > 0 : Boolean(value)

/** What Helm makes of a template: `if` and `end`, paths, `default`, `add`, and `toYaml … | nindent`. */
function render(template: string, scope: object): string {
  const skipped: boolean[] = []
  const lines: string[] = []
  for (const line of template.split('\n')) {
    const block = /^\s*\{\{- (if (\.\S+)|end) \}\}$/.exec(line)
    const yaml = /^\s*\{\{- toYaml (\.\S+) \| nindent (\d+) \}\}$/.exec(line)
    if (block?.[1] === 'end') {
      if (skipped.pop() === undefined) throw new Error('An end has no if.')
    } else if (block !== null) {
      skipped.push(!isSet(at(scope, block[2]!)))
    } else if (skipped.includes(true)) {
      continue
    } else if (yaml !== null) {
      const text = stringify(at(scope, yaml[1]!)).trimEnd()
      lines.push(...text.split('\n').map((one) => ' '.repeat(Number(yaml[2])) + one))
    } else {
      lines.push(line.replace(/\{\{ (.*?) \}\}/g, (_, action: string) => inline(action, scope)))
    }
  }
  if (skipped.length > 0) throw new Error('An if has no end.')
  return lines.join('\n')
}

function inline(action: string, scope: object): string {
  const [, path, other] = /^(\.\S+)(?: \| default (\.\S+))?$/.exec(action) ?? []
  if (path !== undefined) {
    const value = at(scope, path)
    return String(isSet(value) || other === undefined ? value : at(scope, other))
  }
  const [add, ...terms] = action.split(' ')
  if (add !== 'add') throw new Error(`This test does not know {{ ${action} }}.`)
  const numbers = terms.map((term) => Number(term.startsWith('.') ? at(scope, term) : term))
  return String(numbers.reduce((sum, number) => sum + number, 0))
}

interface Container {
  image: string
  env: { name: string; value: string }[]
  envFrom?: object[]
  ports: object[]
  lifecycle: { preStop: { exec: { command: string[] } } }
  livenessProbe: { httpGet: object }
  readinessProbe: { httpGet: object }
  volumeMounts: object[]
}

/** What is looked at here of the objects that the chart makes, by their kinds. */
interface Objects {
  ConfigMap: { data: { 'unifrost.yaml': string } }
  Service: {
    metadata: { annotations?: object }
    spec: { selector: object; ports: { targetPort: string }[] }
  }
  PodDisruptionBudget: { spec: { maxUnavailable: number; selector: { matchLabels: object } } }
  Deployment: {
    spec: {
      selector: { matchLabels: object }
      template: {
        metadata: { labels: object; annotations?: object }
        spec: {
          enableServiceLinks: boolean
          terminationGracePeriodSeconds: number
          securityContext: { runAsNonRoot: boolean }
          containers: [Container]
          volumes: object[]
        }
      }
    }
  }
}

function objects(values: Partial<Values> = {}): Objects {
  const scope = {
    Values: { ...defaults, ...values },
    Release: { Name: 'live' },
    Chart: { AppVersion: '1.2.3' },
  }
  return Object.fromEntries(
    readdirSync(join(chart, 'templates')).map((file) => {
      const document = parseDocument(render(read(`templates/${file}`), scope))
      expect([file, document.errors]).toEqual([file, []])
      const object = document.toJS() as { kind: string }
      return [object.kind, object]
    }),
  ) as unknown as Objects
}

test("the schema of the values has the server's own schema for config", () => {
  // If this fails: npx tsx scripts/helm-schema.mts
  expect(JSON.parse(read('values.schema.json'))).toEqual(valuesSchema())
})

describe('the schema of the values', () => {
  type JsonSchema = Parameters<typeof z.fromJSONSchema>[0]
  const schema = z.fromJSONSchema(JSON.parse(read('values.schema.json')) as JsonSchema)

  test('takes the values that the chart comes with', () => {
    expect(schema.safeParse(defaults).error?.issues).toBeUndefined()
  })

  test.each([
    ['a key of the chart', { ...defaults, replica: 2 }],
    ['a key of the server', { ...defaults, config: { ...defaults.config, toopics: [] } }],
    ['a rule', { ...defaults, config: { topics: [{ match: 'a', subscribe: 'anybody' }] } }],
  ])('refuses %s that does not exist', (_, values) => {
    expect(schema.safeParse(values).success).toBe(false)
  })
})

test('the server takes the file that the chart gives it', () => {
  const { ConfigMap } = objects()
  const text = ConfigMap.data['unifrost.yaml']
  expect(() => loadText('unifrost.yaml', text, {}, chart)).not.toThrow()
})

test.each([
  { drainSeconds: 20, preStopSeconds: 5 },
  { drainSeconds: 300, preStopSeconds: 30 },
])('Kubernetes waits for longer than the drain: %j', (seconds) => {
  const { Deployment } = objects(seconds)
  const { spec } = Deployment.spec.template
  const [container] = spec.containers
  const env = new Map(container.env.map(({ name, value }) => [name, value]))
  expect(env.get('UNIFROST__DRAIN__OVER')).toBe(`${seconds.drainSeconds}s`)
  expect(container.lifecycle.preStop.exec.command).toEqual(['sleep', `${seconds.preStopSeconds}`])
  expect(spec.terminationGracePeriodSeconds).toBeGreaterThan(
    seconds.drainSeconds + seconds.preStopSeconds,
  )
})

test('pods have no service links, and are asked on the admin port', () => {
  const { Deployment, Service } = objects()
  const { spec } = Deployment.spec.template
  const [container] = spec.containers
  expect(spec.enableServiceLinks).toBe(false)
  expect(container.ports).toContainEqual({ name: 'admin', containerPort: 9090 })
  expect(container.livenessProbe.httpGet).toEqual({ path: '/livez', port: 'admin' })
  expect(container.readinessProbe.httpGet).toEqual({ path: '/readyz', port: 'admin' })
  expect(container.image).toBe('unifrost:1.2.3')
  // The admin port is not published.
  expect(Service.spec.ports.map(({ targetPort }) => targetPort)).toEqual(['events'])
})

test('pods run without root, and the budget, the Service and the Deployment mean the same pods', () => {
  const { Deployment, Service, PodDisruptionBudget } = objects()
  const { labels } = Deployment.spec.template.metadata
  expect(Deployment.spec.template.spec.securityContext.runAsNonRoot).toBe(true)
  expect(Deployment.spec.selector.matchLabels).toEqual(labels)
  expect(Service.spec.selector).toEqual(labels)
  expect(PodDisruptionBudget.spec.selector.matchLabels).toEqual(labels)
  expect(PodDisruptionBudget.spec.maxUnavailable).toBe(1)
})

test('every value of the chart is used', () => {
  const templates = readdirSync(join(chart, 'templates')).map((file) => read(`templates/${file}`))
  const used = new Set(
    [...templates.join('\n').matchAll(/\.Values\.(\w+)/g)].map(([, key]) => key!),
  )
  expect([...used].sort()).toEqual(Object.keys(defaults).sort())
})

test('values that are empty at first take their places when they are given', () => {
  const { Deployment, Service } = objects({
    secretName: 'keys',
    podAnnotations: { a: 'b' },
    imagePullSecrets: [{ name: 'pull' }],
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ operator: 'Exists' }],
    affinity: { podAntiAffinity: {} },
    extraVolumes: [{ name: 'tls', secret: { secretName: 'tls' } }],
    extraVolumeMounts: [{ name: 'tls', mountPath: '/etc/tls' }],
    service: { type: 'LoadBalancer', port: 443, annotations: { c: 'd' } },
  })
  const { metadata, spec } = Deployment.spec.template
  expect(metadata.annotations).toEqual({ a: 'b' })
  expect(spec).toMatchObject({
    imagePullSecrets: [{ name: 'pull' }],
    nodeSelector: { disk: 'ssd' },
    tolerations: [{ operator: 'Exists' }],
    affinity: { podAntiAffinity: {} },
  })
  expect(spec.containers[0].envFrom).toEqual([{ secretRef: { name: 'keys' } }])
  expect(spec.containers[0].volumeMounts).toHaveLength(3)
  expect(spec.volumes).toHaveLength(3)
  expect(Service.metadata.annotations).toEqual({ c: 'd' })
  expect(Service.spec).toMatchObject({ type: 'LoadBalancer', ports: [{ port: 443 }] })
})
