/** What this browser remembers of its buyer, over reloads and in all tabs. */
const PREFIX = "flashguard:";

/** Also where the page is not served over HTTPS, where `crypto.randomUUID` is missing. */
export function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function remembered(name: string): string | null {
  return localStorage.getItem(PREFIX + name);
}

export function remember(name: string, value: string | null): void {
  if (value === null) localStorage.removeItem(PREFIX + name);
  else localStorage.setItem(PREFIX + name, value);
}

/** The value kept under this name; made once. */
export function kept(name: string): string {
  const value = remembered(name) ?? randomId();
  remember(name, value);
  return value;
}
