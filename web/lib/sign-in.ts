import { api, bearer, sentence } from "./api/client";
import { setAdminKey } from "./key-store";

const TIMEOUT_MS = 10_000;
/** What a header can carry, without spaces. */
const KEY = /^[\x21-\x7e]+$/;

/** Why this can't be a key of any installation; empty where it can. */
export function notAKey(text: string): string {
  const odd = [...text].find((sign) => !KEY.test(sign));
  if (!odd) return text ? "" : "There is no key.";
  return odd.trim()
    ? `No key has the character “${odd}” in it: copy the whole key again, it may have been cut.`
    : "No key has a space in it: copy the key alone.";
}

/** Keeps a key that the service knows. Returns why it does not take it, empty where it does. */
export async function signIn(key: string): Promise<string> {
  const wrong = notAKey(key);
  if (wrong) return wrong;
  const answer = await api
    .GET("/v1/system", { headers: bearer(key), signal: AbortSignal.timeout(TIMEOUT_MS) })
    .catch(() => null);
  if (answer?.data) {
    setAdminKey(key);
    return "";
  }
  const status = answer?.response.status;
  if (status === 401)
    return "This installation does not know this key. It may be mistyped, expired, revoked, or from another installation.";
  if (status === 403) return "This key may not do what this page does: a key with the scope “admin” is needed.";
  return `The key could not be checked. ${sentence(answer?.error)}`;
}
