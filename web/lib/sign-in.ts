import { api, bearer, detailOf, type Right } from "./api/client";
import { setAdminKey } from "./key-store";
import { messages } from "./language";

const TIMEOUT_MS = 10_000;
/** Characters that an HTTP header can carry, without the space. */
const KEY = /^[\x21-\x7e]+$/;

/** Return why this cannot be a key of any installation, or an empty string. */
export function keyProblem(text: string): string {
  const t = messages().key;
  const invalid = [...text].find((character) => !KEY.test(character));
  if (!invalid) return text ? "" : t.enter;
  return invalid.trim() ? t.cut(invalid) : t.space;
}

/** Keep a key if the service accepts it, and it has the right that is needed. Return why not, or an empty string. */
export async function signIn(key: string, right?: Right): Promise<string> {
  const problem = keyProblem(key);
  if (problem) return problem;
  const t = messages().key;
  const answer = await api
    .GET("/v1/caller", { headers: bearer(key), signal: AbortSignal.timeout(TIMEOUT_MS) })
    .catch(() => null);
  const caller = answer?.data;
  if (caller && !caller.key) return t.notAKey;
  if (caller && right && !caller.rights.includes(right)) return t.needsAdmin;
  if (caller) {
    setAdminKey(key);
    return "";
  }
  return answer?.response.status === 401 ? t.unknown : t.unchecked(detailOf(answer?.error));
}
