"use client";

import { useCallback, useEffect, useState } from "react";
import { api, bearer, sentence, type Reservation } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { Copy } from "../curl";
import { Empty, Panel } from "../parts";

export function Orders({ id, admin, changed }: { id: string; admin: string; changed: number }) {
  const [orders, setOrders] = useState<Reservation[]>([]);
  const [search, setSearch] = useState("");
  const [error, setError] = useState("");
  const read = useCallback(async () => {
    const ask = (filter: { customer?: string; id?: string }) => api.GET("/v1/sales/{sale}/orders", { params: { path: { sale: id }, query: { newest: true, limit: 20, ...filter } }, headers: bearer(admin) });
    const answers = await Promise.all(search ? [ask({ customer: search }), ask({ id: search })] : [ask({})]).catch(() => []);
    const found = answers.flatMap((answer) => answer.data?.data ?? []);
    return { found, error: answers.length && answers.some((answer) => answer.data) ? "" : sentence(answers[0]?.error) };
  }, [id, admin, search]);
  useEffect(() => {
    // A hot sale changes ten times a second: read at most about twice.
    const timer = setTimeout(() => void read().then(({ found, error }) => { setOrders(found); setError(error); }), 400);
    return () => clearTimeout(timer);
  }, [read, changed]);
  return (
    <Panel title="Newest orders" aside={<label className="flex flex-wrap items-center gap-2 text-soft">Customer or order id<input className="field !min-h-8 !w-56 text-ink" type="search" value={search} onChange={(event) => setSearch(event.target.value.trim())} /></label>}>
      {error ? <p role="alert" className="text-bad">{error}</p> : !orders.length ? <Empty title={search ? "No order matches." : "No order yet"}>{search ? "The whole customer or the whole id is looked for." : "Open the sale, and buy in its storefront."}</Empty> :
        <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Orders"><table className="table"><thead><tr><th>Order</th><th>Customer</th><th>Confirmed</th><th className="num">Units</th></tr></thead>
          <tbody>{orders.map((order) => <tr key={order.id}><td><span className="flex items-center gap-2"><code>{order.id}</code><Copy text={order.id} /></span></td><td>{order.customer}</td><td>{order.confirmed_at && time(order.confirmed_at)}</td><td className="num">{count(order.items.reduce((sum, line) => sum + line.quantity, 0))}</td></tr>)}</tbody></table></div>}
    </Panel>
  );
}
