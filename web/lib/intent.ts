import { randomId } from "./attempt";

const PREFIX = "flashguard:intent:";
type Kept = { content: string; key: string };

/**
 * The idempotency key of one intent. It stays the same until the content differs or `intentDone` is called, so that a
 * press whose answer was lost is sent again as the same request, also after a reload.
 */
export function intentKey(name: string, content: unknown, store: Storage = sessionStorage): string {
  const text = JSON.stringify(content ?? null);
  const kept = read(store.getItem(PREFIX + name));
  if (kept?.content === text) return kept.key;
  const key = randomId();
  store.setItem(PREFIX + name, JSON.stringify({ content: text, key } satisfies Kept));
  return key;
}

/** Ends an intent: the next press is a new one. */
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
