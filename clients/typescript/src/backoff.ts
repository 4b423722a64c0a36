/** Full-jitter back-off: a random delay below a ceiling that doubles from 0.5 s to 30 s. */

export const BASE_MS = 500;
export const CEILING_MS = 30_000;

/** Returns the delay before attempt number `attempt` (0 is the first retry). */
export function backoffMs(attempt: number, random: () => number): number {
  const ceiling = Math.min(CEILING_MS, BASE_MS * 2 ** Math.min(attempt, 16));
  return Math.round(random() * ceiling);
}
