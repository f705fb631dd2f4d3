"use client";

import { useEffect, useState } from "react";
import { api, type Payment } from "./api/client";
import { orderAddress } from "./payment";
import { backoff_ms } from "./retry";
import type { Answer } from "./use-action";

const TIMEOUT_MS = 10_000;

/** The names once read: they stay the same while the page is open. */
let known: string[] | null = null;

/** Return the names of the payment providers; null until they are known. Asks once they are `wanted`. */
export function useProviders(wanted: boolean): string[] | null {
  const [names, setNames] = useState(known);
  useEffect(() => {
    if (!wanted || known) return;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let attempt = 0;
    let over = false;
    const read = async () => {
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const answer = await api.GET("/v1/payment-providers", { signal }).catch(() => null);
      if (answer?.data) known = answer.data.data.map((provider) => provider.name);
      if (over) return;
      if (known) setNames(known);
      else timer = setTimeout(() => void read(), backoff_ms(attempt++));
    };
    void read();
    return () => {
      over = true;
      clearTimeout(timer);
    };
  }, [wanted]);
  return names;
}

/** Begin the payment of a hold. The provider sends the buyer back to the order's page. */
export const beginPayment = (id: string, provider: string): Promise<Answer<Payment>> =>
  api.POST("/v1/reservations/{id}/payment", {
    params: { path: { id } },
    body: { provider, success_url: orderAddress(id, "done"), cancel_url: orderAddress(id, "left") },
  });

/** Send the buyer to the provider's page, or where there is none to the order's page. */
export function goToPay({ url, reservation_id }: Payment): void {
  window.location.assign(url && /^https?:/.test(url) ? url : orderAddress(reservation_id));
}
