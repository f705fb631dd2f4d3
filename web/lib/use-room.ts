"use client";

import { useCallback, useEffect, useState } from "react";
import { api, detailOf, type Place, type Problem, type Sale, type TicketEvents } from "./api/client";
import { customer } from "./buyer";
import { messages } from "./language";
import { type Challenge, solve } from "./proof";
import { remember, remembered } from "./remember";
import { backoff_ms } from "./retry";
import { useEvents } from "./use-events";

const SPREAD = 0.1;
const LEAST_MS = 500;

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
 * This browser's place in a sale's waiting room. The ticket's event stream brings each change; without the stream, the
 * page polls. The browser keeps the signed ticket and sends it again after a reload and when the service has lost the
 * room, so that the buyer keeps the place.
 */
export function useRoom(sale: Sale | null): Room {
  const rules = sale?.waiting_room;
  const id = sale && rules && !rules.open_to_all && sale.status !== "closed" ? sale.id : null;
  const [known, setPlace] = useState<Place | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const [failures, setFailures] = useState(0);
  const place = known?.sale_id === id ? known : null;

  const update = useCallback((now: Place) => {
    setFailures(0);
    setPlace((before) => ({ ...now, ticket: now.ticket ?? before?.ticket ?? null }));
    if (now.ticket) remember(`ticket:${now.sale_id}`, now.ticket);
  }, []);

  const end = useCallback(
    (why: string) => {
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
        setMessage(messages().room.solving);
        const challenge = await api.GET("/v1/sales/{sale}/challenge", {
          params: { ...path.params, query: { customer: body.customer } },
        });
        if (!challenge.data) return setMessage(detailOf(challenge.error));
        const proof = await solve(challenge.data as Challenge).catch(() => null);
        if (!proof) return setMessage(messages().room.notSolved);
        answer = await api.POST("/v1/sales/{sale}/tickets", { ...path, body: { ...body, proof } });
        setMessage("");
      }
      if (answer.data) update(answer.data);
      else setMessage(detailOf(answer.error));
    } catch {
      setMessage(messages().room.noAnswer);
    } finally {
      setBusy(false);
    }
  }, [id, update]);

  const refused = useCallback(
    async (problem: Problem, was: Place) => {
      if (problem.code === "unknown-ticket" && was.status === "admitted") end(messages().room.turnOver);
      else if (problem.code === "unknown-ticket") await requestTicket();
      else if (problem.code === "sale-not-open") end(messages().room.closed);
      else setFailures((n) => n + 1);
    },
    [end, requestTicket],
  );

  const stream = useEvents<TicketEvents>(
    place?.status === "waiting" ? `/v1/sales/${place.sale_id}/tickets/${place.id}/events` : null,
    { place: update, problem: (problem) => place && void refused(problem, place) },
  );
  // A hidden tab has no stream (`paused`): it polls, so that it knows of the turn when it is looked at.
  const polls = place?.status === "waiting" && stream !== "live" && stream !== "connecting";

  useEffect(() => {
    if (!place || (place.status === "waiting" && !polls)) return;
    const { sale_id, id: ticket } = place;
    const poll = async () => {
      const path = { params: { path: { sale: sale_id, ticket } } };
      const answer = await api.GET("/v1/sales/{sale}/tickets/{ticket}", path).catch(() => null);
      if (answer?.data) update(answer.data);
      else await refused((answer?.error as Problem | undefined) ?? ({ code: "recovering" } as Problem), place);
    };
    const wait_ms = failures
      ? backoff_ms(failures - 1)
      : place.status === "admitted"
        ? Date.parse(place.admitted_until ?? "") - Date.now()
        : (place.poll_after_seconds ?? 5) * 1000 * (1 - SPREAD * Math.random());
    const timer = setTimeout(() => void poll(), Math.max(LEAST_MS, wait_ms));
    return () => clearTimeout(timer);
  }, [place, polls, failures, refused, update]);

  useEffect(() => {
    const wake = id && remembered(`ticket:${id}`) ? setTimeout(() => void requestTicket(), 0) : undefined;
    return () => clearTimeout(wake);
  }, [id, requestTicket]);

  const leave = useCallback(async () => {
    if (!place) return;
    setBusy(true);
    const answer = await api
      .POST("/v1/sales/{sale}/tickets/{ticket}/leave", { params: { path: { sale: place.sale_id, ticket: place.id } } })
      .catch(() => null);
    setBusy(false);
    const problem = answer?.error as Problem | undefined;
    if (answer?.data || problem?.code === "unknown-ticket") end(messages().room.left);
    else setMessage(messages().room.stillIn(detailOf(problem)));
  }, [place, end]);

  const forgetTicket = useCallback(() => {
    if (id) remember(`ticket:${id}`, null);
  }, [id]);

  return { place, message, busy, requestTicket, leave, forgetTicket };
}

/** Return the admission that lets its buyer reserve now, or null. */
export function admissionOf(place: Place | null, now_ms: number): string | null {
  const admitted = place?.status === "admitted" && Date.parse(place.admitted_until ?? "") > now_ms;
  return admitted ? place.admission : null;
}
