/** Numbers, money and times for the reader's locale (a test passes its own). */
type Locale = string | undefined;

export const count = (value: number, locale?: Locale) => new Intl.NumberFormat(locale).format(value);

export function milliseconds(value: number, locale?: Locale): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return `${new Intl.NumberFormat(locale, { maximumFractionDigits: digits }).format(value)} ms`;
}

/** Minor units: yen have none, dinars have three; the currency knows. */
export function money(minor: number, currency: string, locale?: Locale): string {
  const format = new Intl.NumberFormat(locale, { style: "currency", currency });
  return format.format(minor / 10 ** (format.resolvedOptions().maximumFractionDigits ?? 2));
}

export const time = (iso: string, locale?: Locale) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" }).format(new Date(iso));

/** 3:07, or 1:02:07; never below zero. */
export function countdown(left_ms: number): string {
  const seconds = Math.max(0, Math.ceil(left_ms / 1000));
  const [h, m, s] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  const two = (part: number) => String(part).padStart(2, "0");
  return h ? `${h}:${two(m)}:${two(s)}` : `${m}:${two(s)}`;
}
