const FIRST_MS = 500;
const MOST_MS = 10_000;

/** How long to wait before the n-th try (from 0): doubling, bounded, half of it by chance so that pages spread out. */
export function backoff_ms(attempt: number, chance: number = Math.random()): number {
  const whole = Math.min(MOST_MS, FIRST_MS * 2 ** Math.min(attempt, 10));
  return whole / 2 + (whole / 2) * chance;
}
