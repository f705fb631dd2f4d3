import { kept } from "./attempt";
import { fragmentValue } from "./key-fragment";

/** A buyer's token, which the shop's server minted: for this tab only, never in a request's address. */
const NAME = "flashguard:buyer-token";

export type Buyer = { token: string; customer: string; ends_ms: number };

/** What a token says of its holder; null where it is none. Whether it is good, only the service can tell. */
export function buyerOf(token: string): Buyer | null {
  try {
    const body = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    const said: unknown = JSON.parse(new TextDecoder().decode(Uint8Array.from(body, (byte) => byte.charCodeAt(0))));
    if (!said || typeof said !== "object" || !("sub" in said) || !("exp" in said)) return null;
    return typeof said.sub === "string" && typeof said.exp === "number"
      ? { token, customer: said.sub, ends_ms: said.exp * 1000 }
      : null;
  } catch {
    return null;
  }
}

/** Takes the token out of an address such as `/sale/?id=drop#token=eyJ…`; the fragment was sent to nobody. */
function takeFromAddress(): void {
  const token = fragmentValue(window.location.hash, "token");
  if (!buyerOf(token)) return;
  sessionStorage.setItem(NAME, token);
  window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
}

/** The buyer whose token this tab has; null without one, and once it has ended. */
export function buyer(now_ms = Date.now()): Buyer | null {
  takeFromAddress();
  const known = buyerOf(sessionStorage.getItem(NAME) ?? "");
  if (known && known.ends_ms > now_ms) return known;
  sessionStorage.removeItem(NAME);
  return null;
}

/** Whom this page buys for: the token's customer, or a name of this browser's own. */
export const customer = () => buyer()?.customer ?? kept("customer");
