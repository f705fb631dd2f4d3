"use client";

import { useEffect, useState } from "react";
import { api, bearer, exact, type Caller } from "./api/client";
import { backoff_ms } from "./retry";

const TIMEOUT_MS = 10_000;

/** Return what the caller with this key may do; null until the service has said so. */
export function useCaller(key: string): Caller | null {
  const [read, setRead] = useState<{ key: string; caller: Caller } | null>(null);
  useEffect(() => {
    if (!key) return;
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async (attempt: number) => {
      const call = { headers: bearer(key), signal: AbortSignal.timeout(TIMEOUT_MS) };
      const answer = await api.GET("/v1/caller", call).catch(() => null);
      if (cancelled || answer?.response.status === 401) return;
      if (answer?.data) setRead({ key, caller: exact<Caller>(answer.data) });
      else timer = setTimeout(() => void ask(attempt + 1), backoff_ms(attempt));
    };
    void ask(0);
    return () => {
      cancelled = true;
      clearTimeout(timer);
    };
  }, [key]);
  return read?.key === key ? read.caller : null;
}
