/** When a request is sent again, and after how long: as told by `Retry-After`, within a bound. */
import { NoAnswer, codeOf, problemOf } from "./answers.js";

export interface Retry {
  /** How often a request is sent at most. */
  mostTries: number;
  /** How long it may take in all, waits included. */
  mostSeconds: number;
  /** Before the second try, where the service did not say; then it doubles. */
  firstWaitSeconds: number;
  /** The bound on that. */
  longestWaitSeconds: number;
}

export const PATIENT: Retry = { mostTries: 10, mostSeconds: 30, firstWaitSeconds: 0.1, longestWaitSeconds: 5 };

/** The service, or a proxy in front of it, for the moment. Whether the request took effect is not known. */
const TRANSIENT = new Set([500, 502, 503, 504]);

export interface Line {
  /** An API key or a buyer's token; or a function that returns one, asked anew when it is not taken any more. */
  bearer?: string | (() => string | Promise<string>);
  retry?: Partial<Retry>;
  /** How long one try may take. */
  timeoutSeconds?: number;
  fetch?: typeof fetch;
}

const CHANGES = new Set(["POST", "PUT", "PATCH", "DELETE"]);
const BEARER = /^[\x21-\x7e]+$/;

/** A `fetch` that gives every changing call an idempotency key and sends it again, so that it takes effect once. */
export function retrying(line: Line): (request: Request) => Promise<Response> {
  const retry = { ...PATIENT, ...line.retry };
  const send = line.fetch ?? fetch;
  const ask = typeof line.bearer === "function" ? line.bearer : null;
  let token = typeof line.bearer === "string" ? line.bearer : null;

  return async (request) => {
    const deadline = Date.now() + retry.mostSeconds * 1000;
    if (CHANGES.has(request.method) && !request.headers.has("Idempotency-Key"))
      request.headers.set("Idempotency-Key", newKey());
    let mayRenew = ask !== null;
    for (let made = 1; ; made += 1) {
      if (token === null && ask !== null) token = await ask();
      if (token !== null && !BEARER.test(token))
        throw new TypeError(
          "The bearer holds a space, a line end, or a character such as … that no key and no token has. " +
            "Copy the whole key: lists show only its end, and it can't be shown again.",
        );
      if (token !== null) request.headers.set("Authorization", `Bearer ${token}`);
      const left_ms = Math.max(50, Math.min((line.timeoutSeconds ?? 10) * 1000, deadline - Date.now()));
      let got: Response | Error;
      try {
        got = await send(
          new Request(request.clone(), { signal: AbortSignal.any([request.signal, AbortSignal.timeout(left_ms)]) }),
        );
      } catch (error) {
        if (request.signal.aborted) throw error; // the caller's own wish
        got = error instanceof Error ? error : new Error(String(error));
      }
      if (got instanceof Response && got.status === 401 && mayRenew) {
        token = null;
        mayRenew = false;
        made -= 1;
        continue;
      }
      if (got instanceof Response && !(await isAgain(got))) return got;
      const wait_ms = (got instanceof Response ? retryAfterMs(got) : null) ?? backoffMs(retry, made);
      if (made >= retry.mostTries || Date.now() + wait_ms >= deadline) {
        if (got instanceof Response && got.status === 429) return got; // nothing was done, and that is sure
        const last = got instanceof Response ? (await problemOf(got)).message : got.message;
        throw new NoAnswer(last, request.headers.get("Idempotency-Key"));
      }
      await new Promise((done) => setTimeout(done, wait_ms));
    }
  };
}

async function isAgain(answer: Response): Promise<boolean> {
  if (answer.status === 409) return (await codeOf(answer)) === "request-in-flight";
  return answer.status === 429 || TRANSIENT.has(answer.status);
}

/** The header's seconds, or its date as time from now (RFC 9110). */
function retryAfterMs(answer: Response): number | null {
  const text = answer.headers.get("Retry-After")?.trim();
  if (!text) return null;
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const at = Date.parse(text);
  return Number.isNaN(at) ? null : Math.max(0, at - Date.now());
}

/** Doubling and bounded; half of it by chance, so that buyers who were cut off together spread out. */
function backoffMs(retry: Retry, made: number): number {
  const whole = Math.min(retry.longestWaitSeconds, retry.firstWaitSeconds * 2 ** Math.min(made - 1, 20));
  return whole * 1000 * (0.5 + Math.random() / 2);
}

/** Also where a page is not served over HTTPS, where `crypto.randomUUID` is missing. */
function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
