"use client";

import { useRouter, useSearchParams } from "next/navigation";
import { useCallback, useEffect, useState } from "react";
import { api, API_URL, bearer, sentence, type Audit, type Reservation, type Sale } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useSale } from "@/lib/use-sale";
import { useAdminKey } from "@/lib/key-store";
import { AdminKey, ForgetKey } from "./admin-key";
import { Curl } from "./curl";
import { Banner, Panel, Pill } from "./parts";
import { SALE_TONES, SaleList } from "./sale-list";

export function Control() {
  const id = useSearchParams().get("id");
  const [key] = useAdminKey();
  const [created, setCreated] = useState(0);
  return (
    <>
      <div className="flex flex-wrap items-center justify-between gap-3"><h1 className="text-xl font-semibold">Control room</h1>{key && <ForgetKey />}</div>
      {!key && <AdminKey why="Creating, changing and looking into sales needs the admin key." />}
      {id && key && <OneSale key={id} id={id} admin={key} />}
      <Panel title="Sales"><SaleList to="/control/" changed={created} /></Panel>
      {key && <Create admin={key} done={() => setCreated((n) => n + 1)} />}
    </>
  );
}

function Create({ admin, done }: { admin: string; done: () => void }) {
  const router = useRouter();
  const [error, setError] = useState("");
  async function create(form: FormData) {
    const text = (name: string) => String(form.get(name) ?? "");
    const { data, error } = await api.POST("/v1/sales", { headers: bearer(admin), body: {
      name: text("name"), hold_seconds: Number(text("hold")), limit_per_customer: text("limit") ? Number(text("limit")) : null,
      items: [{ sku: "unit", name: text("item"), price_minor: Number(text("price")), currency: text("currency"), stock: Number(text("stock")) }],
    } }).catch(() => ({ data: undefined, error: undefined }));
    if (!data) return setError(sentence(error));
    setError("");
    done();
    router.push(`/control/?id=${data.id}`);
  }
  const fields = [["name", "Sale", "Drop", "text"], ["item", "Item", "Sneaker", "text"], ["stock", "Stock", "100", "number"], ["price", "Price, in minor units", "1999", "number"],
    ["currency", "Currency", "EUR", "text"], ["hold", "Hold, seconds", "120", "number"], ["limit", "Limit per customer (optional)", "", "number"]] as const;
  return (
    <Panel title="Create a sale">
      <form action={create} className="grid grid-cols-2 gap-3 md:grid-cols-4">
        {fields.map(([name, label, value, type]) => <label key={name} className="grid gap-1">{label}<input className="field" name={name} type={type} min={0} defaultValue={value} required={name !== "limit"} /></label>)}
        <button className="btn btn-main self-end">Create as draft</button>
      </form>
      {error && <p role="alert" className="mt-2 text-bad">{error}</p>}
    </Panel>
  );
}

function OneSale({ id, admin }: { id: string; admin: string }) {
  const { sale, connection } = useSale(id);
  const [error, setError] = useState("");
  const [audit, setAudit] = useState<Audit | null>(null);
  const headers = bearer(admin);
  const path = { sale: id };
  const live = connection === "live";

  async function act(call: Promise<{ data?: unknown; error?: unknown }>) {
    const answer = await call.catch(() => ({ data: undefined, error: undefined }));
    setError(answer.data ? "" : sentence(answer.error));
  }
  async function download() {
    const answer = await fetch(`${API_URL}/v1/sales/${id}/orders?format=csv`, { headers }).catch(() => null);
    if (!answer?.ok) return setError("The orders could not be read.");
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = `${id}-orders.csv`;
    link.click();
    URL.revokeObjectURL(link.href);
  }
  return (
    <>
      <Banner connection={connection} />
      <Panel title={sale?.name ?? id} aside={sale && <Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill>}>
        {sale?.items.map((item) => <Bar key={item.sku} item={item} live={live} />)}
        <div className="mt-3 flex flex-wrap gap-2">
          <button className="btn" onClick={() => void act(api.POST("/v1/sales/{sale}/open", { params: { path }, headers }))}>Open</button>
          <button className="btn" onClick={() => void act(api.POST("/v1/sales/{sale}/pause", { params: { path }, headers }))}>Pause</button>
          <button className="btn" onClick={() => { if (confirm("Close this sale for good?")) void act(api.POST("/v1/sales/{sale}/close", { params: { path }, headers })); }}>Close for good</button>
          <button className="btn" onClick={() => void download()}>Orders as CSV</button>
          <button className="btn" onClick={() => void act(api.GET("/v1/sales/{sale}/audit", { params: { path }, headers }).then((answer) => { setAudit(answer.data ?? null); return answer; }))}>Audit</button>
        </div>
        {sale?.items.map((item) => (
          <form key={item.sku} className="mt-3 flex flex-wrap items-end gap-2" action={(form) => act(api.POST("/v1/sales/{sale}/items/{sku}/restock", {
            params: { path: { sale: id, sku: item.sku } }, headers, body: { delta: Number(form.get("delta")), reason: "control room" } }))}>
            <label className="grid gap-1">Restock {item.name} by<input className="field !w-32" name="delta" type="number" defaultValue={10} required /></label>
            <button className="btn">Restock</button>
          </form>
        ))}
        {error && <p role="alert" className="mt-2 text-bad">{error}</p>}
        <Curl path={`/v1/sales/${id}/audit`} admin />
      </Panel>
      {audit && <AuditTable audit={audit} />}
      <Orders id={id} admin={admin} changed={sale?.items.reduce((sum, item) => sum + item.sold, 0) ?? 0} />
    </>
  );
}

function Bar({ item, live }: { item: Sale["items"][number]; live: boolean }) {
  const parts = [["available", item.available, "var(--good)"], ["held", item.held, "var(--warn)"], ["sold", item.sold, "var(--info)"]] as const;
  return (
    <div className={live ? "mb-2" : "stale mb-2"}>
      <div className="flex flex-wrap gap-x-4"><strong>{item.name}</strong>{parts.map(([name, units]) => <span key={name}>{name} {count(units)}</span>)}{!live && <Pill tone="warn">stale</Pill>}</div>
      <div className="mt-1 flex h-3 overflow-hidden rounded border border-line" aria-hidden>{parts.map(([name, units, color]) => <span key={name} style={{ flexGrow: units, background: color }} />)}</div>
    </div>
  );
}

function AuditTable({ audit }: { audit: Audit }) {
  return (
    <Panel title="Audit" aside={<Pill tone={audit.ok ? "good" : "bad"}>{audit.ok ? "no difference" : "differences"}</Pill>}>
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Audit rows"><table className="table">
        <thead><tr><th>Item</th><th>Stock</th><th>Available</th><th>Held</th><th>Sold</th><th>Oversold</th><th>Differences</th></tr></thead>
        <tbody>{audit.items.map((row) => <tr key={row.sku}><td>{row.sku}</td><td>{count(row.stock)}</td><td>{count(row.available)}</td><td>{count(row.held)}</td><td>{count(row.sold)}</td><td>{count(row.oversold)}</td><td>{row.differences.join("; ") || "none"}</td></tr>)}</tbody>
      </table></div>
      {audit.differences.map((text) => <p key={text} className="text-bad">{text}</p>)}
    </Panel>
  );
}

function Orders({ id, admin, changed }: { id: string; admin: string; changed: number }) {
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
    <Panel title="Newest orders" aside={<label className="flex items-center gap-2">Customer or order id<input className="field !w-52" type="search" value={search} onChange={(event) => setSearch(event.target.value.trim())} /></label>}>
      {error ? <p role="alert" className="text-bad">{error}</p> : !orders.length ? <p className="text-soft">{search ? "No order matches." : "No order yet. Open the sale, and buy in its storefront."}</p> :
        <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Orders"><table className="table"><thead><tr><th>Order</th><th>Customer</th><th>Confirmed</th><th>Units</th></tr></thead>
          <tbody>{orders.map((order) => <tr key={order.id}><td><code>{order.id}</code></td><td>{order.customer}</td><td>{order.confirmed_at && time(order.confirmed_at)}</td><td>{count(order.items.reduce((sum, line) => sum + line.quantity, 0))}</td></tr>)}</tbody></table></div>}
    </Panel>
  );
}
