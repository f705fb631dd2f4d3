import { api, bearer, detailOf } from "./api/client";
import { setAdminKey } from "./key-store";

const TIMEOUT_MS = 10_000;
/** Characters that an HTTP header can carry, without the space. */
const KEY = /^[\x21-\x7e]+$/;

/** Return why this cannot be a key of any installation, or an empty string. */
export function keyProblem(text: string): string {
  const invalid = [...text].find((character) => !KEY.test(character));
  if (!invalid) return text ? "" : "There is no key.";
  return invalid.trim()
    ? `No key has the character “${invalid}” in it: copy the whole key again, it may have been cut.`
    : "No key has a space in it: copy the key alone.";
}

/** Keep a key if the service accepts it. Return why it does not, or an empty string. */
export async function signIn(key: string): Promise<string> {
  const problem = keyProblem(key);
  if (problem) return problem;
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
  return `The key could not be checked. ${detailOf(answer?.error)}`;
}
