import type { Payment, PaymentRefund, Problem, Reservation, Sale } from "./api/client";
import { basketOf, totalsOf } from "./basket";

/** How the buyer came back from the provider's page: after paying, or without. */
export type Back = "done" | "left";

/**
 * How the payment of a hold stands.
 * - `none`: nothing was begun.
 * - `open`: the buyer can pay; `left`: and came back without having paid; `again`: the last session ended.
 * - `waiting`: the buyer came back from paying, and the provider has not told of it.
 * - `asking`: the hold is over; the provider is asked whether money was taken.
 * - `paid`: money was taken, and the order is being made; `order`: it is made.
 * - `late`, `amount`, `amended`, `twice`: the money goes back, for this reason.
 * - `ended`: no money was taken, and the hold is over.
 */
export type Standing =
  | "none"
  | "open"
  | "left"
  | "again"
  | "waiting"
  | "asking"
  | "paid"
  | "order"
  | "late"
  | "amount"
  | "amended"
  | "twice"
  | "ended";

const REASONS: Record<string, Standing> = {
  "too-little": "amount",
  "wrong-currency": "amount",
  amended: "amended",
  "paid-twice": "twice",
};
/** Standings in which a hold can be paid. */
const PAYABLE = new Set<Standing>(["none", "open", "left", "again"]);
/** Standings that end by themselves. */
const MOVING = new Set<Standing>(["open", "waiting", "asking", "paid"]);

export const isHeld = ({ status, expires_at }: Reservation, now_ms: number): boolean =>
  status === "held" && Date.parse(expires_at ?? "") > now_ms;

/** Return how the payment of a hold stands, from all its payments, the oldest first. */
export function standingOf(
  order: Reservation,
  payments: readonly Payment[],
  back: Back | null,
  now_ms: number,
): Standing {
  const of = (status: Payment["status"]) => payments.findLast((payment) => payment.status === status);
  const held = isHeld(order, now_ms);
  if (of("order")) return "order";
  if (of("paid")) return "paid";
  if (of("open")) return !held ? "asking" : back === "done" ? "waiting" : back === "left" ? "left" : "open";
  const last = payments.at(-1);
  if (!last) return "none";
  if (last.status === "refused") return REASONS[last.why ?? ""] ?? "late";
  return held ? "again" : "ended";
}

export const canPay = (order: Reservation, standing: Standing, now_ms: number): boolean =>
  isHeld(order, now_ms) && (PAYABLE.has(standing) || standing === "amount");

/** Return what of the payments' money goes back, without the refunds that another took the place of. */
export const refundsOf = (payments: readonly Payment[]): PaymentRefund[] =>
  payments.flatMap(({ refunds }) => refunds.filter((refund) => refund.retried_as === null));

/** Return whether the next read may show something else soon. */
export const isMoving = (standing: Standing, payments: readonly Payment[]): boolean =>
  MOVING.has(standing) || refundsOf(payments).some((refund) => refund.status === "pending");

/** Return what a hold costs: `free`, `several` currencies, which no payment can have, or `one`. */
export function costOf(sale: Sale, { items }: Reservation): "free" | "several" | "one" {
  const totals = totalsOf(sale, basketOf(items), items);
  return totals.every(([, minor]) => minor === 0) ? "free" : totals.length > 1 ? "several" : "one";
}

/** Return the address of an order's page, as a buyer who comes back from the provider finds it. */
export function orderAddress(order: string, back?: Back, origin = window.location.origin): string {
  return `${origin}/order/?id=${encodeURIComponent(order)}${back ? `&payment=${back}` : ""}`;
}

/** Return whether the refusal of a payment means that there is one already, which the order's page shows. */
export const isPaidAlready = ({ code }: Problem): boolean => code === "request-in-flight";
