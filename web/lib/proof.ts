/** An ALTCHA challenge (version 2, SHA-256): find the counter whose hash starts with `keyPrefix`. */
export type Challenge = {
  parameters: { nonce: string; salt: string; keyPrefix: string; keyLength: number };
  signature?: string;
};

const bytes = (hex: string) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (data: Uint8Array) => Array.from(data, (byte) => byte.toString(16).padStart(2, "0")).join("");

/** Return the solution as the API expects it. Needs HTTPS or localhost: elsewhere browsers have no `crypto.subtle`. */
export async function solve(challenge: Challenge): Promise<string> {
  const { nonce, salt, keyPrefix, keyLength } = challenge.parameters;
  const head = bytes(salt + nonce);
  const tried = new Uint8Array(head.length + 4);
  tried.set(head);
  const counters = new DataView(tried.buffer);
  for (let counter = 0; ; counter++) {
    counters.setUint32(head.length, counter);
    const derivedKey = hex(new Uint8Array(await crypto.subtle.digest("SHA-256", tried)).slice(0, keyLength));
    if (derivedKey.startsWith(keyPrefix)) return btoa(JSON.stringify({ challenge, solution: { counter, derivedKey } }));
  }
}
