interface ServiceBusProblem {
  code?: string
  statusCode?: number
  message?: string
}

/** Whether Service Bus has refused it, and would again: nothing is there, or it is not allowed. */
export function isRefusal(error: unknown): boolean {
  const { code = '', statusCode = 0 } = error as ServiceBusProblem
  if (/MessagingEntityNotFound|MessagingEntityDisabled|Unauthorized|QuotaExceeded/i.test(code)) {
    return true
  }
  return statusCode >= 400 && statusCode < 500 && statusCode !== 408 && statusCode !== 429
}

/** What went wrong, and what to do about it. */
export function explain(what: string, where: string, cause: unknown): Error {
  const { code = '', statusCode, message = '' } = cause as ServiceBusProblem
  const words = [...new Set([message.trim(), code, statusCode])].filter(Boolean).join(', ')
  let advice = 'Check that it is up and reachable, and correct the connection string.'
  if (statusCode === 404 || /NotFound$/i.test(code))
    advice = 'Create the topic, or correct its name.'
  else if (statusCode === 401 || statusCode === 403 || /Unauthorized/i.test(code)) {
    advice = 'Check the key, and that it has the rights Manage and Listen for the topic.'
  } else if (isRefusal(cause)) advice = 'Correct what it names.'
  return new Error(
    `${what} can't be read from Azure Service Bus at ${where} (${words}). ${advice}`,
    { cause },
  )
}

/** Whether a request was never sent, since there was no connection to send it over. */
export function isUnsent(error: unknown): boolean {
  const { code = '', message = '' } = error as ServiceBusProblem
  return /ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH/.test(`${code} ${message}`)
}
