"use client";

import Link from "next/link";
import { useSearchParams } from "next/navigation";
import { useEffect, useRef, useState } from "react";
import { api, type Item, type Problem, type Reservation, type Sale } from "@/lib/api/client";
import { remember, remembered } from "@/lib/attempt";
import { customer } from "@/lib/buyer";
import { count, countdown, money, time } from "@/lib/format";
import { intentDone, intentKey } from "@/lib/intent";
import { backoff_ms } from "@/lib/retry";
import { type Room, useRoom } from "@/lib/use-room";
import { QUIET_MS } from "@/lib/use-action";
import { useSale } from "@/lib/use-sale";
import type { Connection } from "@/lib/use-events";
import { Curl } from "./curl";
import { Banner, Empty, PageHead, Panel, Pill, Text } from "./parts";
import { SALE_TONES, SaleList } from "./sale-list";
import { WaitingRoom } from "./waiting-room";

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
  const { sale, connection, missing, again } = useSale(id);
  const room = useRoom(sale);
  const now = useNow();
  if (!id)
    return (
      <>
        <PageHead title="Storefront">
          What a buyer sees. Choose a sale; its stock is live, and its button tells the truth.
        </PageHead>
        <Panel title="Choose a sale">
          <SaleList to="/sale/" />
        </Panel>
      </>
    );
  return (
    <div className="mx-auto grid w-full max-w-2xl grid-cols-[minmax(0,1fr)] gap-4">
      <PageHead
        title={sale ? <Text>{sale.name}</Text> : "Sale"}
        aside={
          sale && (
            <Pill tone={SALE_TONES[sale.status]} busy={sale.status === "open"}>
              {sale.status}
            </Pill>
          )
        }
      />
      {!missing && <Banner connection={connection} />}
      {missing ? (
        <Empty title="There is no such sale">
          No sale that buyers may see has the id “<Text>{id}</Text>”.
          <div className="mt-3 flex justify-center gap-2">
            <button className="btn btn-small" onClick={again}>
              Look again
            </button>
            <Link className="btn btn-small" href="/sale/">
              All sales
            </Link>
          </div>
        </Empty>
      ) : (
        !sale && <Empty title="Loading…" />
      )}
      {sale?.waiting_room && <WaitingRoom sale={sale} room={room} now={now} />}
      {sale?.items.map((item) => (
        <Offer key={`${sale.id} ${item.sku}`} sale={sale} item={item} connection={connection} room={room} />
      ))}
    </div>
  );
}

function Offer({ sale, item, connection, room }: { sale: Sale; item: Item; connection: Connection; room: Room }) {
  const now = useNow();
  const holdName = `hold:${sale.id}:${item.sku}`;
  const attemptName = `buy:${sale.id}:${item.sku}`;
  const [reservation, setReservation] = useState<Reservation | null>(null);
  const [message, setMessage] = useState("");
  const [busy, setBusy] = useState(false);
  const working = useRef(false);

  useEffect(() => {
    const held = remembered(holdName);
    if (held)
      void api.GET("/v1/reservations/{id}", { params: { path: { id: held } } }).then(
        ({ data }) => data && setReservation(data),
        () => {},
      );
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
        setMessage("Busy: trying again, with the same request.");
        await new Promise((done) =>
          setTimeout(done, Math.max(backoff_ms(attempt), (problem.retry_after_seconds ?? 0) * 1000)),
        );
      }
      setMessage("FlashGuard is still busy. Press again: it is the same request, never a second one.");
      return null;
    } finally {
      // Other buttons stand where this one stood: the rest of a double click shall not press them.
      setTimeout(() => {
        working.current = false;
        setBusy(false);
      }, QUIET_MS);
    }
  }

  const admission =
    room.place?.status === "admitted" && Date.parse(room.place.admitted_until ?? "") > now
      ? room.place.admission
      : null;

  async function buy() {
    const wanted = { customer: customer(), items: [{ sku: item.sku, quantity: 1 }] };
    // Kept for the whole browser: another tab, and a reload, press the same button.
    const header = { "idempotency-key": intentKey(attemptName, wanted, localStorage) };
    const answer = await work(() =>
      api.POST("/v1/sales/{sale}/reservations", {
        params: { path: { sale: sale.id }, header },
        body: { ...wanted, ...(admission && { admission }) },
      }),
    );
    if (!answer) return;
    if (answer.data) {
      room.served();
      remember(holdName, answer.data.id);
      setReservation(answer.data);
    } else refused(answer.error as Problem);
  }

  async function verb(name: "confirm" | "release") {
    if (!reservation) return;
    const path = { params: { path: { id: reservation.id } } };
    const answer = await work(() =>
      name === "confirm"
        ? api.POST("/v1/reservations/{id}/confirm", path)
        : api.POST("/v1/reservations/{id}/release", path),
    );
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
    intentDone(attemptName, localStorage);
    remember(holdName, null);
    setReservation(null);
    setMessage("");
  }

  const live = connection === "live";
  const left_ms = reservation?.expires_at ? Date.parse(reservation.expires_at) - now : 0;
  const opens_ms = sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const ends_ms = sale.ends_at ? Date.parse(sale.ends_at) - now : 0;
  const status = reservation?.status === "held" && left_ms <= 0 ? "expired" : reservation?.status;
  const label = busy
    ? "Working…"
    : !live
      ? connection === "lost"
        ? "You are offline"
        : "Connecting…"
      : sale.status === "paused"
        ? "Paused"
        : sale.status === "closed"
          ? "Closed"
          : sale.status !== "open"
            ? "Not open yet"
            : item.available < 1
              ? "Sold out"
              : sale.waiting_room && !admission
                ? "Wait for your turn"
                : "Buy";
  return (
    <Panel
      title={<Text>{item.name}</Text>}
      aside={<span className="text-xl font-semibold tracking-tight">{money(item.price_minor, item.currency)}</span>}
    >
      <p className={live ? "" : "stale"}>
        {count(item.available)} of {count(item.stock)} available {!live && <Pill tone="warn">stale</Pill>}
      </p>
      <div aria-hidden className="mt-2 h-1.5 overflow-hidden rounded-full bg-raised">
        <div
          className={`h-full bg-good ${live ? "" : "stale"}`}
          style={{ width: `${item.stock ? (item.available / item.stock) * 100 : 0}%` }}
        />
      </div>
      <dl className="mt-3 flex flex-wrap gap-x-8 gap-y-1 text-soft">
        {sale.status !== "open" && opens_ms > 0 && (
          <Fact name="Opens in">
            {countdown(opens_ms)} <span className="text-soft">({time(sale.starts_at!)})</span>
          </Fact>
        )}
        {sale.status === "open" && ends_ms > 0 && <Fact name="Ends in">{countdown(ends_ms)}</Fact>}
        <Fact name="A hold lasts">{countdown(sale.hold_seconds * 1000)}</Fact>
        {sale.limit_per_customer && <Fact name="At most">{count(sale.limit_per_customer)} per customer</Fact>}
      </dl>
      <div className="mt-4 flex flex-wrap items-center gap-3 border-t border-line pt-4">
        {!reservation && (
          <button
            className="btn btn-main min-h-11 w-full text-base"
            disabled={label !== "Buy"}
            onClick={() => void buy()}
          >
            {label}
          </button>
        )}
        {status === "held" && (
          <>
            <Pill tone="info">held for you: {countdown(left_ms)}</Pill>
            <button className="btn btn-main" disabled={busy} onClick={() => void verb("confirm")}>
              Confirm
            </button>
            <button className="btn" disabled={busy} onClick={() => void verb("release")}>
              Give back
            </button>
          </>
        )}
        {status === "confirmed" && (
          <>
            <Pill tone="good">yours</Pill>
            <span>
              Order <code className="break-all">{reservation?.id}</code>
            </span>
          </>
        )}
        {status === "expired" && <Pill tone="warn">your hold ran out</Pill>}
        {status === "cancelled" && (
          <>
            <Pill tone="bad">cancelled</Pill>
            <span>
              The shop took order <code className="break-all">{reservation?.id}</code> back.
            </span>
          </>
        )}
        {status === "released" && <Pill tone="soft">given back</Pill>}
        {status && status !== "held" && (
          <button className="btn" disabled={busy} onClick={again}>
            Start again
          </button>
        )}
      </div>
      <p className="mt-3 empty:hidden" aria-live="polite">
        {message}
      </p>
      <Curl
        method="POST"
        path={`/v1/sales/${sale.id}/reservations`}
        body={{ customer: "me", items: [{ sku: item.sku, quantity: 1 }] }}
      />
    </Panel>
  );
}

const Fact = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div className="flex gap-1.5">
    <dt>{name}</dt>
    <dd className="font-medium text-ink">{children}</dd>
  </div>
);
