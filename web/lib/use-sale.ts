"use client";

import { useCallback, useEffect, useState } from "react";
import { api, API_URL, bearer, exact, type Problem, type Sale, type SaleEvents } from "./api/client";
import { withStock } from "./stock";
import { useEvents, type Connection } from "./use-events";

/** The least time between two polls without a stream. Up to as much again is added at random, to spread pages out. */
export const POLL_MS = 2_000;

/** Statuses that mean: no sale has this id, or no sale can have it. */
const NO_SUCH = new Set([404, 422]);

export type WatchedSale = {
  sale: Sale | null;
  connection: Connection;
  /** No sale has this id. The page no longer asks for it. */
  missing: boolean;
  /** Ask again for a missing sale. */
  retry: () => void;
  /** Show the sale of an answer, which is newer than the last one read. */
  replace: (sale: Sale) => void;
};

/**
 * Follow a sale. Its numbers are current only while the connection is `live`. With the shop's `key` it also shows
 * drafts, which buyers cannot see.
 */
export function useSale(id: string | null, key = ""): WatchedSale {
  const [sale, setSale] = useState<Sale | null>(null);
  const [missingId, setMissingId] = useState<string | null>(null);
  const missing = id !== null && missingId === id;
  const watched = missing ? null : id;
  // Only the shop may read drafts, and an EventSource cannot send a key: drafts are polled with the key.
  const hidden = key !== "" && (sale?.id !== id || sale?.status === "draft");
  const stream = useEvents<SaleEvents>(
    watched === null || hidden ? null : `/v1/sales/${encodeURIComponent(watched)}/events`,
    {
      sale: setSale,
      stock: (change) => setSale((old) => old && withStock(old, change)),
    },
  );
  const polls = hidden || stream === "refused" || (key !== "" && stream === "connecting");
  const polled = usePolled(polls ? watched : null, key, setSale, setMissingId);
  return {
    sale: sale?.id === id && !missing ? sale : null,
    connection: polls ? polled : stream,
    missing,
    retry: useCallback(() => setMissingId(null), []),
    replace: setSale,
  };
}

/** Poll a sale. The connection is `live` while the last answer was good. A `null` id polls nothing. */
function usePolled(
  id: string | null,
  key: string,
  replace: (sale: Sale) => void,
  onMissing: (id: string) => void,
): Connection {
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    if (id === null) return;
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      const answer = await api
        .GET("/v1/sales/{sale}", { params: { path: { sale: id } }, headers: key ? bearer(key) : undefined })
        .catch(() => null);
      if (cancelled) return;
      const unknown =
        answer &&
        !answer.data &&
        (answer.response.status === 401 ? await isUnknown(id) : NO_SUCH.has(answer.response.status));
      if (cancelled) return;
      if (unknown) return onMissing(id);
      if (answer?.data) replace(exact<Sale>(answer.data));
      setConnection(answer?.data ? "live" : "lost");
      timer = setTimeout(() => void poll(), POLL_MS * (1 + Math.random()));
    };
    void poll();
    return () => {
      cancelled = true;
      clearTimeout(timer);
      setConnection("connecting");
    };
  }, [id, key, replace, onMissing]);
  return connection;
}

/**
 * Return whether the stream says that the sale is unknown. In production only the stream answers without a key, and an
 * EventSource hides the status of its answer.
 */
async function isUnknown(id: string): Promise<boolean> {
  const answer = await fetch(`${API_URL}/v1/sales/${encodeURIComponent(id)}/events`).catch(() => null);
  const problem = answer?.ok === false ? ((await answer.json().catch(() => null)) as Problem | null) : null;
  void answer?.body?.cancel().catch(() => {});
  return problem?.code === "unknown-sale";
}
