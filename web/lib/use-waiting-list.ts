"use client";

import { useCallback, useEffect, useState } from "react";
import { api, detailOf, exact, type Entry, type Problem, type Sale } from "./api/client";
import { customer } from "./buyer";
import { intentDone, intentKey } from "./intent";
import { remember, remembered } from "./remember";
import { backoff_ms } from "./retry";

/** The least time between two polls. Up to as much again is added at random, to spread pages out. */
const POLL_MS = 2_000;

export type WaitingList = ReturnType<typeof useWaitingList>;
/** Where a buyer stands: an entry that was offered units takes the state of their reservation. */
export type EntryState = "waiting" | "offered" | "confirmed" | "expired" | "declined" | "left" | "limit" | "over";

export function stateOf({ status, reservation }: Entry, now_ms: number): EntryState {
  if (status === "waiting" || status === "left") return status;
  if (status === "limit-reached") return "limit";
  if (status === "ended" || !reservation) return "over";
  if (reservation.status === "confirmed") return "confirmed";
  if (reservation.status === "released" || reservation.status === "cancelled") return "declined";
  const over = reservation.status === "expired" || Date.parse(reservation.expires_at ?? "") <= now_ms;
  return over ? "expired" : "offered";
}

/** This browser's entry in the waiting list of a sale, kept over reloads and polled while it waits or has an offer. */
export function useWaitingList(sale: Sale, admission: string | null) {
  const name = `waiting:${sale.id}`;
  const [entry, setEntry] = useState<Entry | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const [failures, setFailures] = useState(0);

  const read = useCallback(
    async (id: string) => {
      const answer = await api.GET("/v1/waiting-list/{id}", { params: { path: { id } } }).catch(() => null);
      if (answer?.data) {
        setEntry(exact<Entry>(answer.data));
        setFailures(0);
      } else if ((answer?.error as Problem | undefined)?.code === "unknown-entry") {
        remember(name, null);
        setEntry(null);
      } else setFailures((n) => n + 1);
    },
    [name],
  );

  useEffect(() => {
    const kept = remembered(name);
    const wake = kept ? setTimeout(() => void read(kept), 0) : undefined;
    return () => clearTimeout(wake);
  }, [name, read]);

  const id = entry?.id;
  const live = entry?.status === "waiting" || (entry?.status === "offered" && entry.reservation?.status === "held");
  useEffect(() => {
    if (!id || !live) return;
    const wait_ms = failures ? backoff_ms(failures) : POLL_MS * (1 + Math.random());
    const timer = setTimeout(() => void read(id), wait_ms);
    return () => clearTimeout(timer);
  }, [id, live, entry, failures, read]);

  async function send(call: () => Promise<{ data?: unknown; error?: unknown }>): Promise<boolean> {
    setBusy(true);
    setMessage("");
    const answer = await call().catch(() => ({ data: undefined, error: undefined }));
    setBusy(false);
    if (answer.data) {
      const now = answer.data as Entry;
      remember(name, now.id);
      setEntry(now);
    } else setMessage(detailOf(answer.error));
    return answer.data !== undefined;
  }

  async function join(sku: string, quantity: number) {
    const body = { customer: customer(), items: [{ sku, quantity }], ...(admission && { admission }) };
    const intent = `join:${sale.id}`;
    // An earlier entry that ended is another intent: the same key would return it.
    const header = { "idempotency-key": intentKey(intent, { sku, quantity, after: entry?.id }, localStorage) };
    const params = { path: { sale: sale.id }, header };
    if (await send(() => api.POST("/v1/sales/{sale}/waiting-list", { params, body }))) intentDone(intent, localStorage);
  }

  /** Leave the list, or decline the units that were offered. */
  async function leave() {
    if (!entry) return;
    await send(() => api.DELETE("/v1/waiting-list/{id}", { params: { path: { id: entry.id } } }));
  }

  return { entry, message, busy, join, leave };
}
