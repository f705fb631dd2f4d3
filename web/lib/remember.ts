/** The prefix, in localStorage, of the values that this browser keeps about its buyer across reloads and tabs. */
const PREFIX = "flashguard:";

/** Return a random id. Works without HTTPS too, where `crypto.randomUUID` is missing. */
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

/** Return the id stored under this name. The first call creates it. */
export function rememberedId(name: string): string {
  const value = remembered(name) ?? randomId();
  remember(name, value);
  return value;
}
