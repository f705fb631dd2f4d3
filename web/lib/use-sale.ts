"use client";

import { useCallback, useEffect, useState } from "react";
import { api, API_URL, bearer, exact, type Problem, type Sale, type SaleEvents } from "./api/client";
import { useEvents, type Connection } from "./use-events";

/** Between two looks where there is no stream; as much again by chance, so that pages spread out. */
export const POLL_MS = 2_000;

/** A sale is not there, or its id can't be one. */
const NO_SUCH = new Set([404, 422]);

export type Watched = {
  sale: Sale | null;
  connection: Connection;
  /** There is no such sale; nothing asks for it any more. */
  missing: boolean;
  /** Asks for a missing sale once more. */
  again: () => void;
  /** Takes the sale out of an answer: it is newer than what was last read. */
  take: (sale: Sale) => void;
};

/** A sale as it is now; its numbers are only true while the connection is `live`. `key`: of the shop, who sees more than buyers do. */
export function useSale(id: string | null, key = ""): Watched {
  const [sale, setSale] = useState<Sale | null>(null);
  const [missingId, setMissingId] = useState<string | null>(null);
  const missing = id !== null && missingId === id;
  const watched = missing ? null : id;
  // Drafts are the shop's alone, and an EventSource can't send a key: they are asked for, until they are none.
  const hidden = key !== "" && (sale?.id !== id || sale?.status === "draft");
  const stream = useEvents<SaleEvents>(
    watched === null || hidden ? null : `/v1/sales/${encodeURIComponent(watched)}/events`,
    {
      sale: setSale,
      stock: (change) =>
        setSale(
          (old) =>
            old && {
              ...old,
              items: old.items.map((item) => ({
                ...item,
                ...change.items.find((changed) => changed.sku === item.sku),
              })),
            },
        ),
    },
  );
  const polls = hidden || stream === "refused" || (key !== "" && stream === "connecting");
  const polled = usePolled(polls ? watched : null, key, setSale, setMissingId);
  return {
    sale: sale?.id === id && !missing ? sale : null,
    connection: polls ? polled : stream,
    missing,
    again: useCallback(() => setMissingId(null), []),
    take: setSale,
  };
}

/** Asks for a sale every few seconds; `live` while the last answer was good. `null` as id: asks nothing. */
function usePolled(id: string | null, key: string, take: (sale: Sale) => void, miss: (id: string) => void): Connection {
  const [connection, setConnection] = useState<Connection>("connecting");
  useEffect(() => {
    if (id === null) return;
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      const answer = await api
        .GET("/v1/sales/{sale}", { params: { path: { sale: id } }, headers: key ? bearer(key) : undefined })
        .catch(() => null);
      if (gone) return;
      const unknown =
        answer &&
        !answer.data &&
        (answer.response.status === 401 ? await isUnknown(id) : NO_SUCH.has(answer.response.status));
      if (gone) return;
      if (unknown) return miss(id);
      if (answer?.data) take(exact<Sale>(answer.data));
      setConnection(answer?.data ? "live" : "lost");
      timer = setTimeout(() => void look(), POLL_MS * (1 + Math.random()));
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
      setConnection("connecting");
    };
  }, [id, key, take, miss]);
  return connection;
}

/** In production only the stream may be asked without a key, and an EventSource keeps its answer's status to itself. */
async function isUnknown(id: string): Promise<boolean> {
  const answer = await fetch(`${API_URL}/v1/sales/${encodeURIComponent(id)}/events`).catch(() => null);
  const problem = answer?.ok === false ? ((await answer.json().catch(() => null)) as Problem | null) : null;
  void answer?.body?.cancel().catch(() => {});
  return problem?.code === "unknown-sale";
}
