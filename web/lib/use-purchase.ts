"use client";

import { useEffect, useRef, useState } from "react";
import { api, type Item, type Problem, type Reservation, type Sale } from "./api/client";
import { customer } from "./buyer";
import { intentDone, intentKey } from "./intent";
import { remember, remembered } from "./remember";
import { backoff_ms, RETRYABLE } from "./retry";
import { QUIET_MS, type Answer } from "./use-action";

const MAX_TRIES = 8;

/**
 * One buyer's purchase of one item: a hold, then its confirmation or release. The reservation's id and the idempotency
 * key stay in the browser, so that a reload or a second tab continues the same purchase.
 */
export function usePurchase(sale: Sale, item: Item, admission: string | null, onHeld: () => void) {
  const holdName = `hold:${sale.id}:${item.sku}`;
  const attemptName = `buy:${sale.id}:${item.sku}`;
  const [reservation, setReservation] = useState<Reservation | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const working = useRef(false);

  useEffect(() => {
    const held = remembered(holdName);
    if (held)
      void api.GET("/v1/reservations/{id}", { params: { path: { id: held } } }).then(
        ({ data }) => data && setReservation(data),
        () => {},
      );
  }, [holdName]);

  /** Send a request, and repeat it while FlashGuard is busy or does not answer. One key: it takes effect once. */
  async function sendWithRetry(call: () => Promise<Answer<Reservation>>): Promise<Answer<Reservation> | null> {
    if (working.current) return null;
    working.current = true;
    setBusy(true);
    setMessage("");
    try {
      for (let attempt = 0; attempt < MAX_TRIES; attempt++) {
        const answer = await call().catch((): Answer<Reservation> => ({ error: { code: "recovering" } }));
        const problem = answer.error as Problem | undefined;
        if (answer.data || !problem || !RETRYABLE.has(problem.code)) return answer;
        setMessage("FlashGuard is busy. Repeating the same request…");
        await new Promise((done) =>
          setTimeout(done, Math.max(backoff_ms(attempt), (problem.retry_after_seconds ?? 0) * 1000)),
        );
      }
      setMessage("FlashGuard is still busy. Press the button again: it repeats the same request.");
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
    const wanted = { customer: customer(), items: [{ sku: item.sku, quantity: 1 }] };
    // The key is in localStorage, which all tabs share: the button is the same intent in each of them.
    const header = { "idempotency-key": intentKey(attemptName, wanted, localStorage) };
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
    } else refused(answer.error as Problem);
  }

  async function end(by: "confirm" | "release") {
    if (!reservation) return;
    const path = { params: { path: { id: reservation.id } } };
    const answer = await sendWithRetry(() =>
      by === "confirm"
        ? api.POST("/v1/reservations/{id}/confirm", path)
        : api.POST("/v1/reservations/{id}/release", path),
    );
    if (!answer) return;
    if (answer.data) setReservation(answer.data);
    else {
      refused(answer.error as Problem);
      const { data } = await api.GET("/v1/reservations/{id}", path).catch(() => ({ data: undefined }));
      if (data) setReservation(data);
    }
  }

  function refused(problem: Problem) {
    setMessage(
      problem.code === "sold-out" ? "Sold out: another buyer was faster. You were not charged." : problem.detail,
    );
  }

  function reset() {
    intentDone(attemptName, localStorage);
    remember(holdName, null);
    setReservation(null);
    setMessage("");
  }

  return {
    reservation,
    message,
    busy,
    buy: () => void buy(),
    confirm: () => void end("confirm"),
    release: () => void end("release"),
    reset,
  };
}
