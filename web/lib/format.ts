import { countdown, moneyIn } from "./amounts";
import { locale as chosen } from "./language";

export { countdown } from "./amounts";

/** Numbers, money and times are formatted for the reader's locale; tests pass their own. */
type Locale = string | undefined;

export const count = (value: number, locale: Locale = chosen()) => new Intl.NumberFormat(locale).format(value);

export function milliseconds(value: number, locale: Locale = chosen()): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value)} ms`;
}

/** Format an amount in minor units. */
export const money = (minor: number, currency: string, locale: Locale = chosen()) => moneyIn(locale, minor, currency);

export const time = (iso: string, locale: Locale = chosen()) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));

/** Return the wait for a moment as a countdown; null if it is too far away for one. */
export const countdownTo = (iso: string, now_ms: number): string | null => {
  const left_ms = Date.parse(iso) - now_ms;
  return left_ms < MOST_COUNTDOWN_MS ? countdown(left_ms) : null;
};
const MOST_COUNTDOWN_MS = 48 * 3_600_000;

/** Format a time within a run: 12.3 s. */
export const seconds = (ms: number, locale: Locale = chosen()) =>
  `${new Intl.NumberFormat(locale, { minimumFractionDigits: 1, maximumFractionDigits: 1 }).format(ms / 1000)} s`;

/** Format a rate: one decimal below 10, none above. */
export const rate = (value: number, locale: Locale = chosen()) =>
  new Intl.NumberFormat(locale, { maximumFractionDigits: value < 10 ? 1 : 0 }).format(value);

/** Format a number for axes, where space is scarce: 1.2K. */
export const short = (value: number, locale: Locale = chosen()) =>
  new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 }).format(value);

/** Format a duration in the unit that fits: 250 ms, 1.5 s, 2 min. */
export function duration(ms: number, locale: Locale = chosen()): string {
  const text = (value: number, digits = 1) =>
    new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value);
  if (ms < 1000) return `${text(ms, 0)} ms`;
  return ms < 60_000 ? `${text(ms / 1000)} s` : `${text(ms / 60_000)} min`;
}
