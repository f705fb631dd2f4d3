import { rememberedId } from "./remember";
import { fragmentValue } from "./fragment";

/** The storage key of the buyer's token, which the shop's server issues. It stays in this tab and out of all URLs. */
const NAME = "flashguard:buyer-token";

export type Buyer = { token: string; customer: string; ends_ms: number };

/** Return a token's claims, or null if it cannot be read. Only the service can verify it. */
export function buyerOf(token: string): Buyer | null {
  try {
    const body = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const claims: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(body, (byte) => byte.charCodeAt(0))));
    if (!claims || typeof claims !== "object" || !("sub" in claims) || !("exp" in claims)) return null;
    return typeof claims.sub === "string" && typeof claims.exp === "number"
      ? { token, customer: claims.sub, ends_ms: claims.exp * 1000 }
      : null;
  } catch {
    return null;
  }
}

/** Store the token of an address such as `/sale/?id=drop#token=eyJ…` and remove it there. Fragments reach no server. */
function readTokenFromAddress(): void {
  const token = fragmentValue(window.location.hash, "token");
  if (!buyerOf(token)) return;
  sessionStorage.setItem(NAME, token);
  window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
}

/** Return the buyer of this tab's token, or null if there is none or it has expired. */
export function buyer(now_ms = Date.now()): Buyer | null {
  readTokenFromAddress();
  const current = buyerOf(sessionStorage.getItem(NAME) ?? "");
  if (current && current.ends_ms > now_ms) return current;
  sessionStorage.removeItem(NAME);
  return null;
}

/** Return the customer of this page: the token's, or a random id of this browser. */
export const customer = () => buyer()?.customer ?? rememberedId("customer");
