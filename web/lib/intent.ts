import { randomId } from "./remember";

const PREFIX = "flashguard:intent:";
type Kept = { content: string; key: string };

/**
 * Return the idempotency key of an intent. It stays the same until the content changes or `intentDone` is called: if an
 * answer is lost, the next press repeats the same request, even after a reload.
 */
export function intentKey(name: string, content: unknown, store: Storage = sessionStorage): string {
  const text = JSON.stringify(content ?? null);
  const kept = read(store.getItem(PREFIX + name));
  if (kept?.content === text) return kept.key;
  const key = randomId();
  store.setItem(PREFIX + name, JSON.stringify({ content: text, key } satisfies Kept));
  return key;
}

/** End an intent: the next press gets a new key. */
export function intentDone(name: string, store: Storage = sessionStorage): void {
  store.removeItem(PREFIX + name);
}

function read(text: string | null): Kept | null {
  try {
    const kept: unknown = JSON.parse(text ?? "null");
    return kept && typeof kept === "object" && "content" in kept && "key" in kept ? (kept as Kept) : null;
  } catch {
    return null;
  }
}
