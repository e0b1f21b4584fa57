/**
 * Where a user stands in an object of a framework's, if at one of these places, such as
 * `session.user`. Without it, a user that nobody looks for would be nobody, in silence.
 */
export function placeOfUser(
  root: object,
  name: string,
  places: readonly string[],
): string | undefined {
  const place = places.find((one) => {
    let value: unknown = root
    for (const key of one.split('.')) value = (Object(value) as Record<string, unknown>)[key]
    return value !== undefined && value !== null && value !== false && value !== ''
  })
  return place === undefined ? undefined : `${name}.${place}`
}
