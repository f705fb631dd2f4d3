import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api, type Payment, type Reservation, type Sale } from "@/lib/api/client";
import { canPay, costOf, isMoving, refundsOf, standingOf, type Back } from "@/lib/payment";
import { MOST_POLLS, POLL_MS, SOON_MS, SOON_POLLS, useOrder } from "@/lib/use-order";

const NOW = Date.parse("2027-01-01T10:00:00Z");
const order = (status: Reservation["status"], left_ms = 60_000) =>
  ({
    id: "drop.1",
    sale_id: "drop",
    status,
    expires_at: new Date(NOW + left_ms).toISOString(),
    items: [{ sku: "unit", quantity: 2 }],
  }) as unknown as Reservation;
const payment = (status: Payment["status"], more: object = {}) =>
  ({ id: "pay_1", status, why: null, refunds: [], ...more }) as unknown as Payment;
const refund = (status: string, retried_as: string | null = null) => ({ id: status, status, retried_as });

test.each<[string, Reservation, Payment[], Back | null, string]>([
  ["nothing was begun", order("held"), [], null, "none"],
  ["a session is open", order("held"), [payment("open")], null, "open"],
  ["back from paying, before the provider tells", order("held"), [payment("open")], "done", "waiting"],
  ["back without paying", order("held"), [payment("open")], "left", "left"],
  ["the hold ended while the session was open", order("expired", -1), [payment("open")], "done", "asking"],
  ["the hold ended by this page's clock", order("held", -1), [payment("open")], "left", "asking"],
  ["money was taken", order("held"), [payment("paid")], "done", "paid"],
  ["an order", order("confirmed"), [payment("order")], "done", "order"],
  ["an order, after an attempt that ended", order("confirmed"), [payment("ended"), payment("order")], null, "order"],
  ["a new session after one that ended", order("held"), [payment("ended"), payment("open")], null, "open"],
  ["too late", order("expired", -1), [payment("refused", { why: "reservation-expired" })], "done", "late"],
  ["a reason that this page does not know", order("expired", -1), [payment("refused", { why: "new" })], null, "late"],
  ["the wrong amount", order("held"), [payment("refused", { why: "too-little" })], "done", "amount"],
  ["an amended hold", order("held"), [payment("refused", { why: "amended" })], "done", "amended"],
  ["a second payment", order("held"), [payment("refused", { why: "paid-twice" })], "done", "twice"],
  ["a session ended", order("held"), [payment("ended")], "left", "again"],
  ["it ended with its hold", order("expired", -1), [payment("ended")], "left", "ended"],
])("%s", (_, hold, payments, back, standing) => {
  expect(standingOf(hold, payments, back, NOW)).toBe(standing);
});

test("only a hold that lives can be paid, and not while its money is on the way", () => {
  expect(canPay(order("held"), "again", NOW)).toBe(true);
  expect(canPay(order("held"), "amount", NOW)).toBe(true);
  expect(canPay(order("held", -1), "again", NOW)).toBe(false);
  for (const standing of ["waiting", "paid", "order", "twice"] as const)
    expect(canPay(order("held"), standing, NOW)).toBe(false);
});

test("a refund that another took the place of is not shown", () => {
  const payments = [payment("refused", { refunds: [refund("failed", "pay_1-2"), refund("pending")] })];
  expect(refundsOf(payments).map(({ status }) => status)).toEqual(["pending"]);
  expect(isMoving("late", payments)).toBe(true);
  expect(isMoving("late", [payment("refused", { refunds: [refund("done")] })])).toBe(false);
});

test("a hold costs nothing, an amount, or several currencies", () => {
  const sale = (...prices: [number, string][]) =>
    ({ items: prices.map(([price_minor, currency], at) => ({ sku: `${at}`, price_minor, currency })) }) as Sale;
  const items = ["0", "1"].map((sku) => ({ sku, quantity: 1 }));
  const both = { items } as unknown as Reservation;
  expect(costOf(sale([0, "EUR"], [0, "USD"]), both)).toBe("free");
  expect(costOf(sale([1, "EUR"], [0, "EUR"]), both)).toBe("one");
  expect(costOf(sale([1, "EUR"], [1, "USD"]), both)).toBe("several");
});

beforeEach(() => {
  vi.useFakeTimers();
  vi.setSystemTime(NOW);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

function follow(hold: Reservation, payments: Payment[], back: Back | null = null) {
  const get = vi.spyOn(api, "GET").mockImplementation((async (path: string) => ({
    data: path.endsWith("/payments") ? { data: payments } : path.includes("/sales/") ? { id: "drop" } : hold,
    response: { status: 200 },
  })) as never);
  const polls = () => get.mock.calls.filter((call: unknown[]) => call[0] === "/v1/reservations/{id}").length;
  const hook = renderHook(() => useOrder("drop.1", back));
  return { ...hook, polls, wait: (ms: number) => act(async () => void (await vi.advanceTimersByTimeAsync(ms))) };
}

test("a payment that is about to change is read soon, for a bounded time", async () => {
  const { polls, wait } = follow(order("held", 3_600_000), [payment("open")], "done");
  await wait(20 * SOON_MS * 2);
  expect(polls()).toBeGreaterThan(20);
  await wait(SOON_POLLS * SOON_MS * 2);
  const before = polls();
  await wait(10 * POLL_MS);
  expect(polls() - before).toBeLessThanOrEqual(10);
});

test("a page that was left open stops asking, and asks again when told to", async () => {
  const { result, polls, wait } = follow(order("confirmed"), [payment("order")]);
  await wait(MOST_POLLS * POLL_MS * 2);
  expect(result.current.stopped).toBe(true);
  expect(polls()).toBe(MOST_POLLS);
  await wait(100 * POLL_MS);
  expect(polls()).toBe(MOST_POLLS);
  act(() => result.current.again());
  await wait(POLL_MS);
  expect(result.current.stopped).toBe(false);
  expect(polls()).toBeGreaterThan(MOST_POLLS);
});
