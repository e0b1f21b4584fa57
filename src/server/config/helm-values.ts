import { jsonSchema } from './json-schema.js'

const text = { type: 'string' }
const list = { type: 'array' }
const map = { type: 'object' }
const seconds = { type: 'integer', minimum: 0 }

/** An object with these keys and no others. */
function only(properties: Record<string, unknown>): Record<string, unknown> {
  return { type: 'object', additionalProperties: false, properties }
}

/** The schema of the values of `examples/deploy/helm`: `config` is the server's own. */
export function valuesSchema(): Record<string, unknown> {
  // Both are for a whole document, and here it is a part of one.
  const config = jsonSchema()
  delete config.$schema
  delete config.$id
  return {
    // Helm reads no later draft in all its versions; no keyword here differs.
    $schema: 'http://json-schema.org/draft-07/schema#',
    ...only({
      global: map,
      image: only({
        repository: { ...text, minLength: 1 },
        tag: text,
        pullPolicy: { enum: ['Always', 'IfNotPresent', 'Never'] },
      }),
      imagePullSecrets: list,
      replicas: seconds,
      config,
      secretName: text,
      drainSeconds: seconds,
      preStopSeconds: seconds,
      service: only({
        type: { enum: ['ClusterIP', 'NodePort', 'LoadBalancer'] },
        port: { type: 'integer', minimum: 1, maximum: 65_535 },
        annotations: map,
      }),
      maxUnavailable: { anyOf: [seconds, { type: 'string', pattern: '^\\d+%$' }] },
      podAnnotations: map,
      resources: map,
      nodeSelector: map,
      tolerations: list,
      affinity: map,
      extraVolumes: list,
      extraVolumeMounts: list,
    }),
  }
}
