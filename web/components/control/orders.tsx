"use client";

import { useEffect, useRef, useState } from "react";
import { api, bearer, detailOf, exact, type Item, type Reservation } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { Copy } from "../curl";
import { Empty, Panel, Pill, Text } from "../ui";
import { ChangeOrder } from "./order-change";
import { useTexts } from "./texts";

/** A sale under load changes ten times a second; the orders are read about twice a second. */
const READ_MS = 400;
/** Memory shows an order before the ledger lists it: the orders are read again after this time. */
const AGAIN_MS = 3_000;
const TIMEOUT_MS = 10_000;

export function Orders({
  id,
  admin,
  items = [],
  mayChange,
}: {
  id: string;
  admin: string;
  items: Item[] | undefined;
  mayChange: boolean;
}) {
  const { common } = useMessages();
  const t = useTexts().orders;
  const [orders, setOrders] = useState<Reservation[] | null>(null);
  const [search, setSearch] = useState("");
  const [error, setError] = useState("");
  const due = useRef<number[]>([]); // when to read, in Unix milliseconds
  useEffect(() => {
    due.current = [Date.now(), Date.now() + AGAIN_MS];
  }, [items, search]);
  useEffect(() => {
    let cancelled = false;
    let reading = false;
    const ask = (filter: { customer?: string; id?: string; reference?: string }) =>
      api.GET("/v1/sales/{sale}/orders", {
        params: { path: { sale: id }, query: { newest: true, limit: 20, ...filter } },
        headers: bearer(admin),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    const read = async () => {
      reading = true;
      due.current = due.current.filter((at) => at > Date.now());
      const filters = search ? [{ customer: search }, { id: search }, { reference: search }] : [{}];
      const answers = await Promise.all(filters.map(ask)).catch(() => []);
      if (cancelled) return;
      reading = false;
      const good = answers.filter((answer) => answer.data);
      const found = exact<Reservation[]>(good.flatMap((answer) => answer.data?.data ?? []));
      if (good.length) setOrders([...new Map(found.map((order) => [order.id, order])).values()]);
      else due.current.push(Date.now() + AGAIN_MS);
      setError(good.length ? "" : detailOf(answers[0]?.error));
    };
    const timer = setInterval(() => {
      if (!reading && due.current.some((at) => at <= Date.now())) void read();
    }, READ_MS);
    return () => {
      cancelled = true;
      clearInterval(timer);
    };
  }, [id, admin, search]);
  return (
    <Panel
      title={t.title}
      aside={
        <label className="flex flex-wrap items-center gap-2 text-soft">
          {t.search}
          <input
            className="field !min-h-8 !w-56 text-ink"
            type="search"
            value={search}
            onChange={(event) => setSearch(event.target.value.trim())}
          />
        </label>
      }
    >
      {error && (
        <p role="alert" className="mb-2 text-bad">
          <span lang="en">{error}</span> {orders?.length ? t.stale : ""}
        </p>
      )}
      {!orders ? (
        !error && <p className="text-soft">{common.loading}</p>
      ) : !orders.length ? (
        <Empty title={search ? t.noMatch : t.none}>{search ? t.complete : t.buyOne}</Empty>
      ) : (
        <div className={`overflow-x-auto ${error ? "stale" : ""}`} tabIndex={0} role="region" aria-label={t.orders}>
          <table className="table">
            <thead>
              <tr>
                <th>{t.status}</th>
                <th>{t.customer}</th>
                <th className="num">{t.units}</th>
                <th>{t.confirmed}</th>
                <th>{t.order}</th>
              </tr>
            </thead>
            <tbody>
              {orders.map((order) => (
                <OrderRow
                  key={order.id}
                  order={order}
                  items={items}
                  admin={admin}
                  mayChange={mayChange}
                  changed={() => due.current.push(Date.now(), Date.now() + AGAIN_MS)}
                />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function OrderRow({
  order,
  items,
  admin,
  mayChange,
  changed,
}: {
  order: Reservation;
  items: Item[];
  admin: string;
  mayChange: boolean;
  changed: () => void;
}) {
  const t = useTexts().orders;
  const [open, setOpen] = useState(false);
  const cancelled = order.status === "cancelled";
  return (
    <>
      <tr className={cancelled ? "text-soft" : ""}>
        <td>
          {cancelled ? (
            <Cancelled order={order} />
          ) : (
            <span className="flex items-center gap-2">
              <Pill tone="good">{t.statuses[order.status]}</Pill>
              {mayChange && (
                <button type="button" className="btn btn-small" aria-expanded={open} onClick={() => setOpen(!open)}>
                  {t.change}
                </button>
              )}
            </span>
          )}
        </td>
        <td>
          <Text>{order.customer}</Text>
        </td>
        <td className={`num ${cancelled ? "line-through" : ""}`}>
          {count(units(order.items))}
          {items.length > 1 && <Lines lines={order.items} />}
          {!cancelled && order.cancelled_items?.length ? (
            <span className="block text-xs text-soft">{t.cancelledUnits(count(units(order.cancelled_items)))}</span>
          ) : null}
        </td>
        <td>{order.confirmed_at && time(order.confirmed_at)}</td>
        <td>
          <span className="flex items-center gap-2">
            <code>{order.id}</code>
            <Copy text={order.id} />
          </span>
          {order.reference && (
            <span className="block text-xs text-soft">
              <Text>{order.reference}</Text>
            </span>
          )}
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={5} className="!whitespace-normal">
            <ChangeOrder order={order} items={items} admin={admin} done={changed} />
          </td>
        </tr>
      )}
    </>
  );
}

export const Lines = ({ lines }: { lines: Reservation["items"] }) => (
  <span className="block text-xs text-soft">
    <Text>{lines.map(({ sku, quantity }) => `${count(quantity)} × ${sku}`).join(", ")}</Text>
  </span>
);

export const units = (lines: Reservation["items"]) => lines.reduce((sum, line) => sum + line.quantity, 0);

function Cancelled({ order: { cancelled_at, cancel_reason, restocked } }: { order: Reservation }) {
  const t = useTexts().orders;
  return (
    <>
      <Pill tone="bad">{t.statuses.cancelled}</Pill>
      <span className="mt-0.5 block text-xs">
        {cancelled_at && time(cancelled_at)}, {restocked ? t.onSale : t.leftStock}
      </span>
      {cancel_reason && (
        <span className="block text-xs">
          <Text>{cancel_reason}</Text>
        </span>
      )}
    </>
  );
}
