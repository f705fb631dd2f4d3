"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import { api, detailOf, type Place, type Problem, type Sale } from "./api/client";
import { remember, remembered } from "./remember";
import { customer } from "./buyer";
import { type Challenge, solve } from "./proof";
import { backoff_ms } from "./retry";

const SPREAD = 0.1;

export type Room = {
  place: Place | null;
  message: string;
  busy: boolean;
  /** Request a ticket, or the one that this browser already has. */
  requestTicket: () => Promise<void>;
  leave: () => Promise<void>;
  /** Forget the ticket: the buyer has a hold and no longer waits. */
  forgetTicket: () => void;
};

/**
 * This browser's place in a sale's waiting room. The browser keeps the signed ticket and sends it again after a reload
 * and when the service has lost the room, so that the buyer keeps the place.
 */
export function useRoom(sale: Sale | null): Room {
  const id = sale?.waiting_room && sale.status !== "closed" ? sale.id : null;
  const [place, setPlace] = useState<Place | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const failures = useRef(0);
  const poll = useRef<(known: Place) => Promise<void>>(async () => {});

  const update = useCallback((now: Place) => {
    clearTimeout(timer.current);
    failures.current = 0;
    setPlace((before) => ({ ...now, ticket: now.ticket ?? before?.ticket ?? null }));
    if (now.ticket) remember(`ticket:${now.sale_id}`, now.ticket);
    const wait_ms =
      now.status === "admitted"
        ? Date.parse(now.admitted_until ?? "") - Date.now()
        : (now.poll_after_seconds ?? 5) * 1000 * (1 - SPREAD * Math.random());
    timer.current = setTimeout(() => void poll.current(now), Math.max(500, wait_ms));
  }, []);

  const end = useCallback(
    (why: string) => {
      clearTimeout(timer.current);
      if (id) remember(`ticket:${id}`, null);
      setPlace(null);
      setMessage(why);
    },
    [id],
  );

  const requestTicket = useCallback(async () => {
    if (!id) return;
    setBusy(true);
    setMessage("");
    try {
      const body = { customer: customer(), ticket: remembered(`ticket:${id}`) };
      const path = { params: { path: { sale: id } } };
      let answer = await api.POST("/v1/sales/{sale}/tickets", { ...path, body });
      if ((answer.error as Problem | undefined)?.code === "proof-required") {
        setMessage("One moment: your browser is solving a challenge against bots.");
        const challenge = await api.GET("/v1/sales/{sale}/challenge", path);
        if (!challenge.data) return setMessage(detailOf(challenge.error));
        const proof = await solve(challenge.data as Challenge).catch(() => null);
        if (!proof) return setMessage("Your browser could not solve the challenge. Try again.");
        answer = await api.POST("/v1/sales/{sale}/tickets", { ...path, body: { ...body, proof } });
        setMessage("");
      }
      if (answer.data) update(answer.data);
      else setMessage(detailOf(answer.error));
    } catch {
      setMessage("FlashGuard does not answer. Try again.");
    } finally {
      setBusy(false);
    }
  }, [id, update]);

  useEffect(() => {
    poll.current = async (known) => {
      const path = { params: { path: { sale: known.sale_id, ticket: known.id } } };
      const answer = await api.GET("/v1/sales/{sale}/tickets/{ticket}", path).catch(() => null);
      const problem = answer?.error as Problem | undefined;
      if (answer?.data) update(answer.data);
      else if (problem?.code === "unknown-ticket" && known.status === "admitted")
        end("Your turn is over. You can get a new ticket.");
      else if (problem?.code === "unknown-ticket") await requestTicket();
      else if (problem?.code === "sale-not-open") end("The sale is closed.");
      else timer.current = setTimeout(() => void poll.current(known), backoff_ms(failures.current++));
    };
  }, [end, update, requestTicket]);

  useEffect(() => {
    const wake = id && remembered(`ticket:${id}`) ? setTimeout(() => void requestTicket(), 0) : undefined;
    return () => {
      clearTimeout(wake);
      clearTimeout(timer.current);
    };
  }, [id, requestTicket]);

  const leave = useCallback(async () => {
    if (!place) return;
    setBusy(true);
    const answer = await api
      .POST("/v1/sales/{sale}/tickets/{ticket}/leave", { params: { path: { sale: place.sale_id, ticket: place.id } } })
      .catch(() => null);
    setBusy(false);
    const problem = answer?.error as Problem | undefined;
    if (answer?.data || problem?.code === "unknown-ticket") end("You left the queue. Your place is gone.");
    else setMessage(`You are still in the queue. ${detailOf(problem)}`);
  }, [place, end]);

  const forgetTicket = useCallback(() => {
    clearTimeout(timer.current);
    if (id) remember(`ticket:${id}`, null);
  }, [id]);

  return { place, message, busy, requestTicket, leave, forgetTicket };
}

/** Return the admission that lets its buyer reserve now, or null. */
export function admissionOf(place: Place | null, now_ms: number): string | null {
  const admitted = place?.status === "admitted" && Date.parse(place.admitted_until ?? "") > now_ms;
  return admitted ? place.admission : null;
}
