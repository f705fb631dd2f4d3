/** Retries: which answers are retried, after which wait, and within which limits. */
import { NoAnswer, codeOf, problemOf } from "./answers.js";

export interface Retry {
  /** The most times that a request is sent. */
  mostTries: number;
  /** The most seconds for all tries of a request, with the waits between them. */
  mostSeconds: number;
  /** The wait before the second try if the answer has no `Retry-After`. It doubles with each try. */
  firstWaitSeconds: number;
  /** The longest of these waits. */
  longestWaitSeconds: number;
}

export const DEFAULT_RETRY: Retry = { mostTries: 10, mostSeconds: 30, firstWaitSeconds: 0.1, longestWaitSeconds: 5 };

/** Statuses of a service or proxy in temporary trouble. The request may have taken effect. */
const TRANSIENT = new Set([500, 502, 503, 504]);

export interface ClientOptions {
  /** An API key or a buyer's token, or a function that returns one. After a 401 it is called again, once. */
  bearer?: string | (() => string | Promise<string>);
  retry?: Partial<Retry>;
  /** The most seconds for one try. */
  timeoutSeconds?: number;
  fetch?: typeof fetch;
}

const CHANGES = new Set(["POST", "PUT", "PATCH", "DELETE"]);
const BEARER = /^[\x21-\x7e]+$/;

/** Return a `fetch` that retries. Each changing request carries an idempotency key, so that it takes effect once. */
export function retrying(options: ClientOptions): (request: Request) => Promise<Response> {
  const retry = { ...DEFAULT_RETRY, ...options.retry };
  const send = options.fetch ?? fetch;
  const issueToken = typeof options.bearer === "function" ? options.bearer : null;
  let token = typeof options.bearer === "string" ? options.bearer : null;

  return async (request) => {
    const deadline = Date.now() + retry.mostSeconds * 1000;
    if (CHANGES.has(request.method) && !request.headers.has("Idempotency-Key"))
      request.headers.set("Idempotency-Key", newKey());
    let canRenew = issueToken !== null;
    for (let attempt = 1; ; attempt += 1) {
      if (token === null && issueToken !== null) token = await issueToken();
      if (token !== null && !BEARER.test(token))
        throw new TypeError(
          "The bearer contains a space, a line end or another character that no key and no token has, such as “…”. " +
            "Copy the whole key. Lists show only its end, and a key is shown in full only once.",
        );
      if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
      const left_ms = Math.max(50, Math.min((options.timeoutSeconds ?? 10) * 1000, deadline - Date.now()));
      let result: Response | Error;
      try {
        result = await send(
          new Request(request.clone(), { signal: AbortSignal.any([request.signal, AbortSignal.timeout(left_ms)]) }),
        );
      } catch (error) {
        if (request.signal.aborted) throw error; // the caller cancelled the request
        result = error instanceof Error ? error : new Error(String(error));
      }
      if (result instanceof Response && result.status === 401 && canRenew) {
        token = null;
        canRenew = false;
        attempt -= 1;
        continue;
      }
      if (result instanceof Response && !(await isRetryable(result))) return result;
      const wait_ms = (result instanceof Response ? retryAfterMs(result) : null) ?? backoffMs(retry, attempt);
      if (attempt >= retry.mostTries || Date.now() + wait_ms >= deadline) {
        if (result instanceof Response && result.status === 429) return result; // refused: it took no effect
        const last = result instanceof Response ? (await problemOf(result)).message : result.message;
        throw new NoAnswer(last, request.headers.get("Idempotency-Key"));
      }
      await new Promise((done) => setTimeout(done, wait_ms));
    }
  };
}

async function isRetryable(response: Response): Promise<boolean> {
  if (response.status === 409) return (await codeOf(response)) === "request-in-flight";
  return response.status === 429 || TRANSIENT.has(response.status);
}

/** Return `Retry-After` in milliseconds; it holds seconds or a date (RFC 9110). Null if there is none. */
function retryAfterMs(response: Response): number | null {
  const text = response.headers.get("Retry-After")?.trim();
  if (!text) return null;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/** Return the wait before the next try. Half of it is random, to spread out clients that were cut off together. */
function backoffMs(retry: Retry, attempt: number): number {
  const whole = Math.min(retry.longestWaitSeconds, retry.firstWaitSeconds * 2 ** Math.min(attempt - 1, 20));
  return whole * 1000 * (0.5 + Math.random() / 2);
}

/** Return a random key. Works on pages without HTTPS too, where `crypto.randomUUID` is missing. */
export function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
