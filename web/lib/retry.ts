/** The codes of problems that the same request may not meet at its next try. */
export const RETRYABLE = new Set(["overloaded", "recovering", "request-in-flight", "rate-limited"]);

const FIRST_MS = 500;
const MOST_MS = 10_000;

/** Return the wait before retry `attempt`, from 0. It doubles up to a bound; half is random, to spread pages out. */
export function backoff_ms(attempt: number, chance: number = Math.random()): number {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return whole / 2 + (whole / 2) * chance;
}
