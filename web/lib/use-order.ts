"use client";

import { useCallback, useEffect, useState } from "react";
import { api, exact, type Payment, type Reservation, type Sale } from "./api/client";
import { isMoving, standingOf, type Back } from "./payment";

/** The least time between two polls. Up to as much again is added at random, to spread pages out. */
export const POLL_MS = 3_000;
/** The same while a payment is about to change, for at most `SOON_POLLS` polls. */
export const SOON_MS = 700;
export const SOON_POLLS = 120;
/** Polls after which the page waits until the buyer asks for more: about an hour. */
export const MOST_POLLS = 800;
const TIMEOUT_MS = 10_000;

export type Found = "yes" | "no" | "away" | null;

/** Follow one hold or order with its payments, by polls while the page is visible. */
export function useOrder(id: string | null, back: Back | null) {
  const [order, setOrder] = useState<Reservation | null>(null);
  const [sale, setSale] = useState<Sale | null>(null);
  const [payments, setPayments] = useState<Payment[]>([]);
  const [found, setFound] = useState<Found>(null);
  const [round, setRound] = useState(0);
  const [stopped, setStopped] = useState(false);
  useEffect(() => {
    if (!id) return;
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let named: Sale | null = null;
    let polls = 0;
    let soonPolls = 0;
    const read = async () => {
      let soon = false;
      if (!document.hidden) {
        const path = { params: { path: { id } }, signal: AbortSignal.timeout(TIMEOUT_MS) };
        // The payments first: an order that is read later is as new as its payment.
        const paid = await api.GET("/v1/reservations/{id}/payments", path).catch(() => null);
        const answer = await api.GET("/v1/reservations/{id}", path).catch(() => null);
        if (answer?.data && !named) {
          const params = { path: { sale: answer.data.sale_id } };
          const read = await api.GET("/v1/sales/{sale}", { params, signal: path.signal }).catch(() => null);
          named = read?.data ? exact<Sale>(read.data) : null;
        }
        if (cancelled) return;
        const missing = answer && [404, 422].includes(answer.response.status);
        if (answer?.data) setOrder(answer.data);
        if (answer?.data && paid?.data) {
          const standing = standingOf(answer.data, paid.data.data, back, Date.now());
          soon = isMoving(standing, paid.data.data) && soonPolls++ < SOON_POLLS;
          setPayments(paid.data.data);
        }
        setSale(named);
        setFound(answer?.data && paid?.data ? "yes" : missing ? "no" : "away");
        if (missing) return;
        if (++polls >= MOST_POLLS) return setStopped(true);
      }
      timer = setTimeout(() => void read(), (soon ? SOON_MS : POLL_MS) * (1 + Math.random()));
    };
    void read();
    return () => {
      cancelled = true;
      clearTimeout(timer);
    };
  }, [id, back, round]);
  /** Ask again now. */
  const again = useCallback(() => {
    setStopped(false);
    setRound((n) => n + 1);
  }, []);
  return { order, sale, payments, found, stopped, again };
}
