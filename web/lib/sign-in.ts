import { api, bearer, detailOf } from "./api/client";
import { setAdminKey } from "./key-store";

const TIMEOUT_MS = 10_000;
/** Characters that an HTTP header can carry, without the space. */
const KEY = /^[\x21-\x7e]+$/;

/** Return why this cannot be a key of any installation, or an empty string. */
export function keyProblem(text: string): string {
  const invalid = [...text].find((character) => !KEY.test(character));
  if (!invalid) return text ? "" : "Enter a key.";
  return invalid.trim()
    ? `A key cannot contain “${invalid}”. It may have been cut: copy the whole key again.`
    : "A key cannot contain a space. Copy the key alone.";
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
    return "This installation does not know this key. It may be mistyped, expired, revoked or from elsewhere.";
  if (status === 403) return "This page needs a key with the scope “admin”.";
  return `The key could not be checked. ${detailOf(answer?.error)}`;
}
