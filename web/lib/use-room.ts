"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import { api, sentence, type Place, type Problem, type Sale } from "./api/client";
import { remember, remembered } from "./attempt";
import { customer } from "./buyer";
import { type Challenge, solve } from "./proof";
import { backoff_ms } from "./retry";

const SPREAD = 0.1;

export type Room = {
  place: Place | null;
  message: string;
  busy: boolean;
  /** Takes a ticket, or the one that this browser has already. */
  take: () => Promise<void>;
  leave: () => Promise<void>;
  /** The buyer has what they came for: there is nothing to wait for any more. */
  served: () => void;
};

/** This browser's place in a sale's waiting room. A reload keeps it, and so does a server that lost its memory: the
 * signed ticket is shown again. */
export function useRoom(sale: Sale | null): Room {
  const id = sale?.waiting_room && sale.status !== "closed" ? sale.id : null;
  const [place, setPlace] = useState<Place | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const fault = useRef(0);
  const look = useRef<(known: Place) => Promise<void>>(async () => {});

  const stands = useCallback((now: Place) => {
    clearTimeout(timer.current);
    fault.current = 0;
    setPlace((before) => ({ ...now, ticket: now.ticket ?? before?.ticket ?? null }));
    if (now.ticket) remember(`ticket:${now.sale_id}`, now.ticket);
    const wait_ms =
      now.status === "admitted"
        ? Date.parse(now.admitted_until ?? "") - Date.now()
        : (now.poll_after_seconds ?? 5) * 1000 * (1 - SPREAD * Math.random());
    timer.current = setTimeout(() => void look.current(now), Math.max(500, wait_ms));
  }, []);

  const over = useCallback(
    (why: string) => {
      clearTimeout(timer.current);
      if (id) remember(`ticket:${id}`, null);
      setPlace(null);
      setMessage(why);
    },
    [id],
  );

  const take = useCallback(async () => {
    if (!id) return;
    setBusy(true);
    setMessage("");
    try {
      const body = { customer: customer(), ticket: remembered(`ticket:${id}`) };
      const path = { params: { path: { sale: id } } };
      let answer = await api.POST("/v1/sales/{sale}/tickets", { ...path, body });
      if ((answer.error as Problem | undefined)?.code === "proof-required") {
        setMessage("One moment: your browser shows that it is not a bot.");
        const asked = await api.GET("/v1/sales/{sale}/challenge", path);
        if (asked.data)
          answer = await api.POST("/v1/sales/{sale}/tickets", {
            ...path,
            body: { ...body, proof: await solve(asked.data as Challenge) },
          });
        setMessage("");
      }
      if (answer.data) stands(answer.data);
      else setMessage(sentence(answer.error));
    } catch {
      setMessage("FlashGuard does not answer. Press again.");
    } finally {
      setBusy(false);
    }
  }, [id, stands]);

  useEffect(() => {
    look.current = async (known) => {
      const path = { params: { path: { sale: known.sale_id, ticket: known.id } } };
      const answer = await api.GET("/v1/sales/{sale}/tickets/{ticket}", path).catch(() => null);
      const problem = answer?.error as Problem | undefined;
      if (answer?.data) stands(answer.data);
      else if (problem?.code === "unknown-ticket" && known.status === "admitted")
        over("Your turn is over. You may take a new ticket.");
      else if (problem?.code === "unknown-ticket") await take();
      else if (problem?.code === "sale-not-open") over("The sale is closed.");
      else timer.current = setTimeout(() => void look.current(known), backoff_ms(fault.current++));
    };
  }, [over, stands, take]);

  useEffect(() => {
    const wake = id && remembered(`ticket:${id}`) ? setTimeout(() => void take(), 0) : undefined;
    return () => {
      clearTimeout(wake);
      clearTimeout(timer.current);
    };
  }, [id, take]);

  const leave = useCallback(async () => {
    if (!place) return;
    setBusy(true);
    const answer = await api
      .POST("/v1/sales/{sale}/tickets/{ticket}/leave", { params: { path: { sale: place.sale_id, ticket: place.id } } })
      .catch(() => null);
    setBusy(false);
    const problem = answer?.error as Problem | undefined;
    if (answer?.data || problem?.code === "unknown-ticket") over("You have left. Your place was given on.");
    else setMessage(`You have not left. ${sentence(problem)}`);
  }, [place, over]);

  const served = useCallback(() => {
    clearTimeout(timer.current);
    if (id) remember(`ticket:${id}`, null);
  }, [id]);

  return { place, message, busy, take, leave, served };
}
