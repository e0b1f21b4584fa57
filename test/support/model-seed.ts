/**
 * The seed of the model tests. It is fixed, so that a change is judged by the runs that the state before
 * it was judged by, and a red run is the change's. Other runs: `MODEL_SEED=7 npx jest model`, and
 * `MODEL_SEED=` followed by nothing for one by chance; `MODEL_RUNS` says how many.
 */
const given = process.env['MODEL_SEED'] ?? '20261128'

export const MODEL_SEED: { seed?: number } = given === '' ? {} : { seed: Number(given) }
