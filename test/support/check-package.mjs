// What publint and "are the types wrong" have to say of a tarball, as lines; nothing when all is well.
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { readFileSync } from 'node:fs'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

const file = readFileSync(process.argv[2])
const bytes = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength)

const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true })
for (const message of messages) console.log(`publint: ${formatMessage(message, pkg)}`)

const { problems } = await checkPackage(createPackageFromTarballData(new Uint8Array(bytes)))
for (const problem of problems ?? [{ kind: 'NoTypes' }]) {
  console.log(`types: ${JSON.stringify(problem)}`)
}
