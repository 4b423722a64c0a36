/** Full-jitter back-off: a random delay below a ceiling that doubles with each attempt. */

/** How long a client waits between attempts. */
export interface Backoff {
  /** The ceiling of the first delay; 0.5 s when absent. */
  baseMs?: number;
  /** The ceiling of all; 30 s when absent. */
  capMs?: number;
}

const BASE_MS = 500;
const CAP_MS = 30_000;

/** Returns the delay before attempt number `attempt` (0 is the first retry). */
export function backoffMs(
  attempt: number,
  { random, backoff = {} }: { random: () => number; backoff?: Backoff },
): number {
  const { baseMs = BASE_MS, capMs = CAP_MS } = backoff;
  return Math.round(random() * Math.min(capMs, baseMs * 2 ** Math.min(attempt, 16)));
}
