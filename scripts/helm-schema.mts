// Writes the schema of the Helm chart's values: npx tsx scripts/helm-schema.mts
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { valuesSchema } from '../src/server/config/helm-values.js'

const file = new URL('../examples/deploy/helm/values.schema.json', import.meta.url)
writeFileSync(fileURLToPath(file), `${JSON.stringify(valuesSchema(), null, 2)}\n`)
