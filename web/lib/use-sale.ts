"use client";

import { useEffect, useState } from "react";
import { api, exact, type Sale, type SaleEvents } from "./api/client";
import { useEvents, type Connection } from "./use-events";

/** Between two looks where there is no stream; as much again by chance, so that pages spread out. */
export const POLL_MS = 2_000;

/** A sale as it is now; its numbers are only true while the connection is `live`. */
export function useSale(id: string | null): { sale: Sale | null; connection: Connection } {
  const [sale, setSale] = useState<Sale | null>(null);
  const stream = useEvents<SaleEvents>(id ? `/v1/sales/${encodeURIComponent(id)}/events` : null, {
    sale: setSale,
    stock: (change) => setSale((old) => old && {
      ...old,
      items: old.items.map((item) => ({ ...item, ...change.items.find((changed) => changed.sku === item.sku) })),
    }),
  });
  const polled = usePolled(stream === "refused" ? id : null, setSale);
  return { sale: sale?.id === id ? sale : null, connection: stream === "refused" ? (polled ? "live" : "lost") : stream };
}

/** Asks for a sale every few seconds; whether the last answer was good. `null` as id: asks nothing. */
function usePolled(id: string | null, take: (sale: Sale) => void): boolean {
  const [good, setGood] = useState(false);
  useEffect(() => {
    if (id === null) return;
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      const answer = await api.GET("/v1/sales/{sale}", { params: { path: { sale: id } } }).catch(() => null);
      if (gone) return;
      if (answer?.data) take(exact<Sale>(answer.data));
      setGood(answer?.data !== undefined);
      timer = setTimeout(() => void look(), POLL_MS * (1 + Math.random()));
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [id, take]);
  return id !== null && good;
}
