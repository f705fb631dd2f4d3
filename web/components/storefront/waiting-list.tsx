"use client";

import { useState } from "react";
import type { Sale } from "@/lib/api/client";
import { count, countdown } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { stateOf, type WaitingList as List } from "@/lib/use-waiting-list";
import { Fact, Panel, Pill, Text, type Tone } from "../ui";

const TONES: Record<string, Tone> = { open: "soft", waiting: "info", offered: "good" };
const MOST_UNITS = 1_000_000;

/** The waiting list: join it for a sold-out item, see one's place, take or decline what is offered. */
export function WaitingList({ sale, list, now }: { sale: Sale; list: List; now: number }) {
  const t = useMessages().list;
  const { entry, busy } = list;
  const soldOut = sale.items.filter((item) => item.on_sale && item.available === 0);
  const state = entry ? stateOf(entry, now) : "open";
  if (state === "confirmed" || (state !== "offered" && sale.status !== "open")) return null;
  const joins = sale.waiting_list !== null && soldOut.length > 0 && state !== "waiting" && state !== "offered";
  if (!entry && !joins) return null;
  const line = entry?.items[0];
  const explanation = {
    open: t.intro,
    waiting: t.inList,
    offered: t.offered,
    expired: t.expired,
    declined: t.declined,
    left: t.left,
    limit: t.limit,
    over: t.over,
  }[state];
  const pill = state === "open" || state === "waiting" ? t[state] : state === "offered" ? t.offer : t.ended;
  return (
    <Panel
      title={t.title}
      aside={
        <Pill tone={TONES[state] ?? "warn"} busy={state === "waiting"}>
          {pill}
        </Pill>
      }
    >
      {(state === "waiting" || state === "offered") && (
        <dl className="mb-3 grid grid-cols-2 gap-2">
          {state === "waiting" && entry?.place != null && <Fact name={t.place}>{count(entry.place)}</Fact>}
          {state === "offered" && (
            <Fact name={t.offerLasts}>{countdown(Date.parse(entry?.reservation?.expires_at ?? "") - now)}</Fact>
          )}
          {line && (
            <Fact name={t.waitsFor}>
              {count(line.quantity)} × <Text>{sale.items.find((item) => item.sku === line.sku)?.name ?? line.sku}</Text>
            </Fact>
          )}
        </dl>
      )}
      <p aria-live="polite">{explanation}</p>
      {joins && <Join key={entry?.id ?? ""} sale={sale} soldOut={soldOut} list={list} again={entry !== null} />}
      {(state === "waiting" || state === "offered") && (
        <button className="btn mt-3" disabled={busy} onClick={() => void list.leave()}>
          {state === "waiting" ? t.leave : t.decline}
        </button>
      )}
      {list.message && (
        <p role="alert" className="mt-3 text-bad">
          {list.message}
        </p>
      )}
    </Panel>
  );
}

function Join({ sale, soldOut, list, again }: { sale: Sale; soldOut: Sale["items"]; list: List; again: boolean }) {
  const t = useMessages().list;
  const [sku, setSku] = useState(soldOut[0]!.sku);
  const [quantity, setQuantity] = useState(1);
  const chosen = soldOut.find((item) => item.sku === sku) ?? soldOut[0]!;
  return (
    <form
      className="mt-3 flex flex-wrap items-end gap-3"
      onSubmit={(event) => {
        event.preventDefault();
        void list.join(chosen.sku, quantity);
      }}
    >
      {soldOut.length > 1 && (
        <label className="label min-w-0">
          {t.item}
          <select className="field" value={chosen.sku} onChange={(event) => setSku(event.target.value)}>
            {soldOut.map((item) => (
              <option key={item.sku} value={item.sku}>
                {item.name}
              </option>
            ))}
          </select>
        </label>
      )}
      {sale.limit_per_customer !== 1 && (
        <label className="label">
          {t.quantity}
          <input
            className="field !w-20"
            type="number"
            min={1}
            max={sale.limit_per_customer ?? MOST_UNITS}
            required
            value={quantity}
            onChange={(event) => setQuantity(Math.trunc(Number(event.target.value)))}
          />
        </label>
      )}
      <button className="btn btn-main min-h-[34px]" disabled={list.busy}>
        {again ? t.joinAgain : t.join}
      </button>
    </form>
  );
}
