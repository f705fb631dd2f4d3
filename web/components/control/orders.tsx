"use client";

import { useEffect, useRef, useState } from "react";
import { api, bearer, detailOf, exact, type Reservation } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { Copy } from "../curl";
import { Empty, Panel, Pill, Text } from "../ui";

/** A sale under load changes ten times a second; the orders are read about twice a second. */
const READ_MS = 400;
/** Memory shows an order before the ledger lists it: the orders are read again after this time. */
const AGAIN_MS = 3_000;
const TIMEOUT_MS = 10_000;

export function Orders({ id, admin, changed }: { id: string; admin: string; changed: unknown }) {
  const [orders, setOrders] = useState<Reservation[] | null>(null);
  const [search, setSearch] = useState("");
  const [error, setError] = useState("");
  const due = useRef<number[]>([]); // when to read, in Unix milliseconds
  useEffect(() => {
    due.current = [Date.now(), Date.now() + AGAIN_MS];
  }, [changed, search]);
  useEffect(() => {
    let cancelled = false;
    let reading = false;
    const ask = (filter: { customer?: string; id?: string }) =>
      api.GET("/v1/sales/{sale}/orders", {
        params: { path: { sale: id }, query: { newest: true, limit: 20, ...filter } },
        headers: bearer(admin),
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
    const read = async () => {
      reading = true;
      due.current = due.current.filter((at) => at > Date.now());
      const answers = await Promise.all(search ? [ask({ customer: search }), ask({ id: search })] : [ask({})]).catch(
        () => [],
      );
      if (cancelled) return;
      reading = false;
      const good = answers.filter((answer) => answer.data);
      if (good.length) setOrders(exact<Reservation[]>(good.flatMap((answer) => answer.data?.data ?? [])));
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
      title="Newest orders"
      aside={
        <label className="flex flex-wrap items-center gap-2 text-soft">
          Customer or order id
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
          {error}
          {orders?.length ? " The orders below are stale." : ""}
        </p>
      )}
      {!orders ? (
        !error && <p className="text-soft">Loading…</p>
      ) : !orders.length ? (
        <Empty title={search ? "No order matches." : "No order yet"}>
          {search ? "Enter a complete customer or a complete order id." : "Open the sale and buy in its storefront."}
        </Empty>
      ) : (
        <div className={`overflow-x-auto ${error ? "stale" : ""}`} tabIndex={0} role="region" aria-label="Orders">
          <table className="table">
            <thead>
              <tr>
                <th>Status</th>
                <th>Customer</th>
                <th className="num">Units</th>
                <th>Confirmed</th>
                <th>Order</th>
              </tr>
            </thead>
            <tbody>
              {orders.map((order) => (
                <OrderRow key={order.id} order={order} />
              ))}
            </tbody>
          </table>
        </div>
      )}
    </Panel>
  );
}

function OrderRow({ order }: { order: Reservation }) {
  const cancelled = order.status === "cancelled";
  return (
    <tr className={cancelled ? "text-soft" : ""}>
      <td>{cancelled ? <Cancelled order={order} /> : <Pill tone="good">{order.status}</Pill>}</td>
      <td>
        <Text>{order.customer}</Text>
      </td>
      <td className={`num ${cancelled ? "line-through" : ""}`}>
        {count(order.items.reduce((sum, line) => sum + line.quantity, 0))}
      </td>
      <td>{order.confirmed_at && time(order.confirmed_at)}</td>
      <td>
        <span className="flex items-center gap-2">
          <code>{order.id}</code>
          <Copy text={order.id} />
        </span>
      </td>
    </tr>
  );
}

function Cancelled({ order: { cancelled_at, cancel_reason, restocked } }: { order: Reservation }) {
  return (
    <>
      <Pill tone="bad">cancelled</Pill>
      <span className="mt-0.5 block text-xs">
        {cancelled_at && time(cancelled_at)}, {restocked ? "its units are on sale again" : "its units left the stock"}
      </span>
      {cancel_reason && (
        <span className="block text-xs">
          <Text>{cancel_reason}</Text>
        </span>
      )}
    </>
  );
}
