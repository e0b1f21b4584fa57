interface AwsError {
  name?: string
  message?: string
  code?: string
  $metadata?: { httpStatusCode?: number }
}

/** Whether AWS has answered, with an error: it has done nothing. After any other error it may have. */
export function isAnswer(error: unknown): boolean {
  return ((error as AwsError).$metadata?.httpStatusCode ?? 0) >= 400
}

/** Whether AWS has refused, and would refuse again. */
export function isRefusal(error: unknown): boolean {
  const { name = '', $metadata } = error as AwsError
  const status = $metadata?.httpStatusCode ?? 0
  if (status === 429 || /throttl|limitexceeded|toomanyrequests|timeout/i.test(name)) return false
  return status >= 400 && status < 500
}

/** Whether the queue, topic or subscription does not exist. */
export function isGone(error: unknown): boolean {
  return /NonExistentQueue|QueueDoesNotExist|NotFound/.test((error as AwsError).name ?? '')
}

/** What went wrong, and what to do about it. */
export function explain(what: string, where: string, cause: unknown): Error {
  const { name = '', message = '', code } = cause as AwsError
  const words = [name === 'Error' || message.startsWith(name) ? '' : name, message, code]
  const reason = [...new Set(words)].filter(Boolean).join(', ') || String(cause)
  let advice = 'Check that it is up and reachable, and correct region or endpoint.'
  if (isGone(cause)) advice = 'Create it, or correct the name.'
  else if (/AccessDenied|AuthorizationError|NotAuthorized/i.test(reason)) {
    advice = "Allow it in the policy of the role or user; the driver's page lists the actions."
  } else if (/Token|Signature|Credential|UnrecognizedClient|AccessKey/i.test(reason)) {
    advice = 'Check the credentials.'
  } else if (isRefusal(cause)) advice = 'Correct what it names.'
  return new Error(`${what} failed at ${where} (${reason}). ${advice}`, { cause })
}
