"use client";

import { useState } from "react";
import type { Sale, SaleEvents } from "./api/client";
import { useEvents } from "./use-events";

/** A sale as it is now; its numbers are only true while the connection is `live`. */
export function useSale(id: string | null) {
  const [sale, setSale] = useState<Sale | null>(null);
  const connection = useEvents<SaleEvents>(id ? `/v1/sales/${encodeURIComponent(id)}/events` : null, {
    sale: setSale,
    stock: (change) => setSale((old) => old && {
      ...old,
      items: old.items.map((item) => ({ ...item, ...change.items.find((changed) => changed.sku === item.sku) })),
    }),
  });
  return { sale: sale?.id === id ? sale : null, connection };
}
