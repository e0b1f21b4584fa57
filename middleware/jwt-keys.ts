import type { webcrypto } from 'node:crypto'
import { KeyObject } from 'node:crypto'
import { types } from 'node:util'

/** A public key of Web Crypto or of Node. */
export type PublicKey = webcrypto.CryptoKey | KeyObject

/** The fewest bytes of a secret: as many as HS256's hash has (RFC 7518, section 3.2). */
const SHORTEST_SECRET = 32
/** The fewest bits of an RSA key (RFC 7518, section 3.3). */
const SHORTEST_RSA = 2048

export const SYMMETRIC = ['HS256', 'HS384', 'HS512']
const RSA = ['RS256', 'RS384', 'RS512']
const PSS = ['PS256', 'PS384', 'PS512']
const CURVES: Record<string, string> = {
  prime256v1: 'ES256',
  secp384r1: 'ES384',
  secp521r1: 'ES512',
  'P-256': 'ES256',
  'P-384': 'ES384',
  'P-521': 'ES512',
}
export const ASYMMETRIC = [...RSA, ...PSS, 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519']

/** Whether this can be a shared secret: long enough, and no key that the world may know. */
export function isSecret(value: unknown): boolean {
  if (typeof value !== 'string' && !(value instanceof Uint8Array)) return false
  const bytes = Buffer.from(value as string)
  return bytes.length >= SHORTEST_SECRET && !/^\s*-----BEGIN /.test(bytes.toString('latin1'))
}

/** Whether this is a public key that a signature can be checked with. */
export function isPublicKey(value: unknown): value is PublicKey {
  if (value instanceof KeyObject) {
    return value.type === 'public' && fittingAlgorithms(value).length > 0
  }
  if (!types.isCryptoKey(value)) return false
  const key = value
  return key.type === 'public' && key.usages.includes('verify') && fittingAlgorithms(key).length > 0
}

/** The algorithms that a public key can check. */
export function fittingAlgorithms(key: PublicKey): string[] {
  return key instanceof KeyObject ? ofNode(key) : ofWeb(key)
}

function ofNode({ asymmetricKeyType, asymmetricKeyDetails }: KeyObject): string[] {
  if ((asymmetricKeyDetails?.modulusLength ?? Infinity) < SHORTEST_RSA) return []
  if (asymmetricKeyType === 'rsa') return [...RSA, ...PSS]
  if (asymmetricKeyType === 'rsa-pss') return PSS
  if (asymmetricKeyType === 'ed25519') return ['EdDSA', 'Ed25519']
  const curve = CURVES[asymmetricKeyDetails?.namedCurve ?? '']
  return curve === undefined ? [] : [curve]
}

function ofWeb({ algorithm }: webcrypto.CryptoKey): string[] {
  const { name, hash, namedCurve, modulusLength } = algorithm as {
    name: string
    modulusLength?: number
    hash?: { name: string }
    namedCurve?: string
  }
  if ((modulusLength ?? Infinity) < SHORTEST_RSA) return []
  const bits = hash?.name.slice(-3) ?? ''
  if (name === 'RSASSA-PKCS1-v1_5') return RSA.filter((one) => one.endsWith(bits))
  if (name === 'RSA-PSS') return PSS.filter((one) => one.endsWith(bits))
  if (name === 'Ed25519') return ['EdDSA', 'Ed25519']
  const curve = CURVES[namedCurve ?? '']
  return curve === undefined ? [] : [curve]
}
