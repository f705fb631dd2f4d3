"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import { api, type Problem, type Reservation, type Sale } from "./api/client";
import { basketOf, EMPTY, isSame, linesOf, withQuantity, type Basket, type Line } from "./basket";
import { customer } from "./buyer";
import { intentDone, intentKey } from "./intent";
import { messages } from "./language";
import { remember, remembered } from "./remember";
import { isPaidAlready, orderAddress } from "./payment";
import { backoff_ms, RETRYABLE } from "./retry";
import { beginPayment, goToPay } from "./use-payment";
import { QUIET_MS, type Answer } from "./use-action";

export type Purchase = ReturnType<typeof usePurchase>;

const MAX_TRIES = 8;
/** Refusals of a buyer who may have the units already. */
const MAY_HOLD = new Set(["sold-out", "limit-reached", "hold-budget-reached"]);

/**
 * One buyer's purchase in a sale: a basket, its hold, then the hold's confirmation or release. The basket, the
 * reservation's id and the idempotency key stay in the browser, so that a reload or a second tab continues the same
 * purchase.
 */
export function usePurchase(sale: Sale, admission: string | null, now: number, onHeld: () => void) {
  const holdName = `hold:${sale.id}`;
  const basketName = `basket:${sale.id}`;
  const buyName = `buy:${sale.id}`;
  const [chosen, setChosen] = useState<Basket>(() => rememberedBasket(basketName, sale));
  const [edited, setEdited] = useState<Basket | null>(null);
  const [reservation, setReservation] = useState<Reservation | null>(null);
  const [message, setMessage] = useState<string | Problem>("");
  const [busy, setBusy] = useState(false);
  const working = useRef(false);
  const reserved = reservation ? basketOf(reservation.items) : EMPTY;
  const over = reservation?.status === "held" && Date.parse(reservation.expires_at ?? "") <= now;
  const status = over ? "expired" : reservation?.status;
  const basket = reservation ? (edited ?? reserved) : chosen;

  useEffect(() => {
    const held = remembered(holdName);
    if (held)
      void api.GET("/v1/reservations/{id}", { params: { path: { id: held } } }).then(
        ({ data }) => data && setReservation(data),
        () => {},
      );
  }, [holdName]);

  /** Continue with a reservation that came from elsewhere: one found again, or the offer of the waiting list. */
  const adopt = useCallback(
    (held: Reservation) => {
      remember(holdName, held.id);
      setEdited(null);
      setReservation(held);
      setMessage("");
    },
    [holdName],
  );

  function choose(sku: string, quantity: number) {
    const changed = withQuantity(basket, sku, quantity);
    setMessage("");
    if (reservation) return setEdited(changed);
    setChosen(changed);
    remember(basketName, JSON.stringify(linesOf(sale, changed)));
  }

  /** Send a request, and repeat it while FlashGuard is busy or does not answer. One key: it takes effect once. */
  async function sendWithRetry<T = Reservation>(call: () => Promise<Answer<T>>): Promise<Answer<T> | null> {
    if (working.current) return null;
    working.current = true;
    setBusy(true);
    setMessage("");
    try {
      for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
        const answer = await call().catch((): Answer<T> => ({ error: { code: "recovering" } }));
        const problem = answer.error as Problem | undefined;
        if (answer.data || !problem || !RETRYABLE.has(problem.code)) return answer;
        setMessage(messages().basket.busy);
        await new Promise((done) =>
          setTimeout(done, Math.max(backoff_ms(attempt), (problem.retry_after_seconds ?? 0) * 1000)),
        );
      }
      setMessage(messages().basket.stillBusy);
      return null;
    } finally {
      // Other buttons now stand in this one's place: the second click of a double click must not press them.
      setTimeout(() => {
        working.current = false;
        setBusy(false);
      }, QUIET_MS);
    }
  }

  async function buy() {
    const wanted = { customer: customer(), items: linesOf(sale, basket) };
    // The key is in localStorage, which all tabs share: the button is the same intent in each of them.
    const header = { "idempotency-key": intentKey(buyName, wanted, localStorage) };
    const answer = await sendWithRetry(() =>
      api.POST("/v1/sales/{sale}/reservations", {
        params: { path: { sale: sale.id }, header },
        body: { ...wanted, ...(admission && { admission }) },
      }),
    );
    if (!answer) return;
    if (answer.data) {
      onHeld();
      remember(holdName, answer.data.id);
      setReservation(answer.data);
    } else {
      const problem = answer.error as Problem;
      const held = MAY_HOLD.has(problem.code) ? await ownHold(wanted.customer, basket) : null;
      if (held) offer(held);
      else setMessage(problem);
    }
  }

  async function find() {
    if (working.current) return;
    working.current = true;
    setBusy(true);
    const held = await ownHold(customer());
    if (held) offer(held);
    else setMessage(messages().basket.none);
    setTimeout(() => {
      working.current = false;
      setBusy(false);
    }, QUIET_MS);
  }

  function offer(held: Reservation) {
    adopt(held);
    setMessage(messages().basket.heldAlready);
  }

  /** Return the newest live hold that the customer has, of these items: its id may be lost, or in another browser. */
  async function ownHold(buyer: string, of?: Basket): Promise<Reservation | null> {
    try {
      const { data } = await api.GET("/v1/sales/{sale}/reservations", {
        params: { path: { sale: sale.id }, query: { customer: buyer, status: "held" } },
      });
      const holds = data?.data.filter((hold) => !of || hold.items.some(({ sku }) => of.has(sku))) ?? [];
      const newest = holds.sort((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at)).at(0);
      if (!newest) return null;
      return (await api.GET("/v1/reservations/{id}", { params: { path: { id: newest.id } } })).data ?? null;
    } catch {
      return null;
    }
  }

  /** Change the hold to the basket as it is now. */
  async function change() {
    if (!reservation) return;
    const body = { items: linesOf(sale, basket) };
    const name = `change:${sale.id}`;
    const header = { "idempotency-key": intentKey(name, { id: reservation.id, ...body }, localStorage) };
    await settle(reservation.id, (path) =>
      api.POST("/v1/reservations/{id}/amend", { params: { path, header }, body }).then((answer) => {
        if (answer.data) intentDone(name, localStorage);
        return answer;
      }),
    );
  }

  async function end(by: "confirm" | "release" | "extend") {
    if (!reservation) return;
    await settle(reservation.id, (path) =>
      by === "confirm"
        ? api.POST("/v1/reservations/{id}/confirm", { params: { path } })
        : by === "extend"
          ? api.POST("/v1/reservations/{id}/extend", { params: { path } })
          : api.POST("/v1/reservations/{id}/release", { params: { path } }),
    );
  }

  /** Begin the payment of the hold, and go to the provider's page. */
  async function pay(provider: string) {
    if (!reservation) return;
    const { id } = reservation;
    const answer = await sendWithRetry(async () => {
      const begun = await beginPayment(id, provider);
      const paid = begun.error && isPaidAlready(begun.error as Problem);
      return paid ? { data: null } : begun;
    });
    if (answer?.error) return refuse(id, answer.error as Problem);
    if (answer?.data) goToPay(answer.data);
    else if (answer) window.location.assign(orderAddress(id));
  }

  /** Send a request about the reservation, and show the reservation as it is then. */
  async function settle(id: string, call: (path: { id: string }) => Promise<Answer<Reservation>>) {
    const answer = await sendWithRetry(() => call({ id }));
    if (!answer) return;
    if (answer.data) {
      setEdited(null);
      return setReservation(answer.data);
    }
    await refuse(id, answer.error as Problem);
  }

  /** Show why a request about the reservation was refused, and the reservation as it is then. */
  async function refuse(id: string, problem: Problem) {
    setMessage(problem);
    const { data } = await api
      .GET("/v1/reservations/{id}", { params: { path: { id } } })
      .catch(() => ({ data: undefined }));
    if (data) setReservation(data);
  }

  function reset() {
    intentDone(buyName, localStorage);
    remember(holdName, null);
    remember(basketName, null);
    setChosen(rememberedBasket(basketName, sale));
    setEdited(null);
    setReservation(null);
    setMessage("");
  }

  return {
    basket,
    choose,
    reservation,
    status,
    /** The units that the buyer holds now. */
    own: status === "held" ? reserved : EMPTY,
    /** Whether the buyer chose another basket than the one held. */
    changed: status === "held" && !isSame(basket, reserved),
    message,
    busy,
    buy: () => void buy(),
    find: () => void find(),
    change: () => void change(),
    undo: () => setEdited(null),
    confirm: () => void end("confirm"),
    pay: (provider: string) => void pay(provider),
    release: () => void end("release"),
    extend: () => void end("extend"),
    adopt,
    reset,
  };
}

/** Return the basket that this browser keeps for a sale. A new one has one unit where there is only one item. */
function rememberedBasket(name: string, sale: Sale): Basket {
  try {
    const kept: unknown = JSON.parse(remembered(name) ?? "null");
    if (Array.isArray(kept) && kept.every(isLine))
      return basketOf(kept.filter((line) => sale.items.some((item) => item.sku === line.sku)));
  } catch {
    // What is not JSON is not a basket.
  }
  return sale.items.length === 1 ? basketOf([{ sku: sale.items[0]!.sku, quantity: 1 }]) : EMPTY;
}

const isLine = (line: unknown): line is Line =>
  typeof line === "object" &&
  line !== null &&
  "sku" in line &&
  typeof line.sku === "string" &&
  "quantity" in line &&
  Number.isInteger(line.quantity) &&
  (line.quantity as number) > 0;
