"use client";

import { useSearchParams } from "next/navigation";
import { useEffect, useRef, useState } from "react";
import { api, type Item, type Problem, type Reservation, type Sale } from "@/lib/api/client";
import { kept, remember, remembered } from "@/lib/attempt";
import { count, countdown, money, time } from "@/lib/format";
import { backoff_ms } from "@/lib/retry";
import { useSale } from "@/lib/use-sale";
import type { Connection } from "@/lib/use-events";
import { Curl } from "./curl";
import { Banner, Panel, Pill } from "./parts";
import { SALE_TONES, SaleList } from "./sale-list";

const MOST_TRIES = 8;
const TRY_AGAIN = new Set(["overloaded", "recovering", "request-in-flight", "rate-limited"]);

function useNow() {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, []);
  return now;
}

export function Storefront() {
  const id = useSearchParams().get("id");
  const { sale, connection } = useSale(id);
  if (!id) return <><h1 className="text-xl font-semibold">Storefront</h1><Panel title="Choose a sale"><SaleList to="/sale/" /></Panel></>;
  return (
    <>
      <h1 className="text-xl font-semibold">{sale?.name ?? "Sale"} {sale && <Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill>}</h1>
      <Banner connection={connection} />
      {!sale && <p className="text-soft">Loading… If nothing comes, there may be no sale with the id “{id}”.</p>}
      {sale?.items.map((item) => <Offer key={`${sale.id} ${item.sku}`} sale={sale} item={item} connection={connection} />)}
    </>
  );
}

function Offer({ sale, item, connection }: { sale: Sale; item: Item; connection: Connection }) {
  const now = useNow();
  const holdName = `hold:${sale.id}:${item.sku}`;
  const attemptName = `attempt:${sale.id}:${item.sku}`;
  const [reservation, setReservation] = useState<Reservation | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const working = useRef(false);

  useEffect(() => {
    const held = remembered(holdName);
    if (held) void api.GET("/v1/reservations/{id}", { params: { path: { id: held } } }).then(({ data }) => data && setReservation(data), () => {});
  }, [holdName]);

  type Answer = { data?: Reservation; error?: unknown };
  /** One request, tried again while FlashGuard is busy or away: the same key, so never a second effect. */
  async function work(call: () => Promise<Answer>): Promise<Answer | null> {
    if (working.current) return null;
    working.current = true;
    setBusy(true);
    setMessage("");
    try {
      for (let attempt = 0; attempt < MOST_TRIES; attempt++) {
        const answer = await call().catch((): Answer => ({ error: { code: "recovering" } }));
        const problem = answer.error as Problem | undefined;
        if (answer.data || !problem || !TRY_AGAIN.has(problem.code)) return answer;
        setMessage("Busy: trying again. Your place is kept.");
        await new Promise((done) => setTimeout(done, Math.max(backoff_ms(attempt), (problem.retry_after_seconds ?? 0) * 1000)));
      }
      setMessage("FlashGuard is still busy. Press again: it is the same request, never a second one.");
      return null;
    } finally {
      working.current = false;
      setBusy(false);
    }
  }

  async function buy() {
    const header = { "idempotency-key": kept(attemptName) };
    const answer = await work(() => api.POST("/v1/sales/{sale}/reservations", {
      params: { path: { sale: sale.id }, header },
      body: { customer: kept("customer"), items: [{ sku: item.sku, quantity: 1 }] },
    }));
    if (!answer) return;
    if (answer.data) {
      remember(holdName, answer.data.id);
      setReservation(answer.data);
    } else refused(answer.error as Problem);
  }

  async function verb(name: "confirm" | "release") {
    if (!reservation) return;
    const path = { params: { path: { id: reservation.id } } };
    const answer = await work(() => name === "confirm" ? api.POST("/v1/reservations/{id}/confirm", path) : api.POST("/v1/reservations/{id}/release", path));
    if (!answer) return;
    if (answer.data) setReservation(answer.data);
    else {
      refused(answer.error as Problem);
      const { data } = await api.GET("/v1/reservations/{id}", path).catch(() => ({ data: undefined }));
      if (data) setReservation(data);
    }
  }

  function refused(problem: Problem) {
    setMessage(problem.code === "sold-out" ? "Sold out: somebody was faster. Nothing was charged." : problem.detail);
  }

  function again() {
    remember(attemptName, null);
    remember(holdName, null);
    setReservation(null);
    setMessage("");
  }

  const live = connection === "live";
  const left_ms = reservation?.expires_at ? Date.parse(reservation.expires_at) - now : 0;
  const opens_ms = sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const status = reservation?.status === "held" && left_ms <= 0 ? "expired" : reservation?.status;
  const label = busy ? "Working…" : !live ? (connection === "lost" ? "You are offline" : "Connecting…")
    : sale.status === "paused" ? "Paused" : sale.status === "closed" ? "Closed"
    : sale.status !== "open" ? "Not open yet" : item.available < 1 ? "Sold out" : "Buy";
  return (
    <Panel title={item.name} aside={<span className="text-lg font-semibold">{money(item.price_minor, item.currency)}</span>}>
      <p className={live ? "" : "stale"}>{count(item.available)} of {count(item.stock)} available {!live && <Pill tone="warn">stale</Pill>}</p>
      {sale.status !== "open" && opens_ms > 0 && <p>Opens in {countdown(opens_ms)} ({time(sale.starts_at!)})</p>}
      {sale.limit_per_customer && <p className="text-soft">At most {count(sale.limit_per_customer)} per customer.</p>}
      <div className="mt-3 flex flex-wrap items-center gap-3">
        {!reservation && <button className="btn btn-main" disabled={label !== "Buy"} onClick={() => void buy()}>{label}</button>}
        {status === "held" && <>
          <Pill tone="info">held for you: {countdown(left_ms)}</Pill>
          <button className="btn btn-main" disabled={busy} onClick={() => void verb("confirm")}>Confirm</button>
          <button className="btn" disabled={busy} onClick={() => void verb("release")}>Give back</button>
        </>}
        {status === "confirmed" && <><Pill tone="good">yours</Pill><span>Order <code className="break-all">{reservation?.id}</code></span></>}
        {status === "expired" && <Pill tone="warn">your hold ran out</Pill>}
        {status === "released" && <Pill tone="soft">given back</Pill>}
        {status && status !== "held" && <button className="btn" onClick={again}>Start again</button>}
      </div>
      <p className="mt-2" aria-live="polite">{message}</p>
      <Curl method="POST" path={`/v1/sales/${sale.id}/reservations`} body={{ customer: "me", items: [{ sku: item.sku, quantity: 1 }] }} />
    </Panel>
  );
}
