"use client";

import Link from "next/link";
import { useSearchParams } from "next/navigation";
import { useState } from "react";
import { Download, Pause, Play, ShieldCheck } from "lucide-react";
import { api, API_URL, bearer, sentence, type Audit } from "@/lib/api/client";
import { download } from "@/lib/download";
import { useAdminKey } from "@/lib/key-store";
import { useSale } from "@/lib/use-sale";
import { AdminKey, ForgetKey } from "../admin-key";
import { Curl } from "../curl";
import { Banner, PageHead, Panel, Pill } from "../parts";
import { SALE_TONES, SaleList } from "../sale-list";
import { AuditTable } from "./audit-table";
import { Bar } from "./bar";
import { Create } from "./create";
import { Figures } from "./figures";
import { Orders } from "./orders";

export function Control() {
  const id = useSearchParams().get("id");
  const [key] = useAdminKey();
  const [created, setCreated] = useState(0);
  return (
    <>
      <PageHead title="Control room" aside={key && <ForgetKey />}>Create a sale, open it, and watch it sell: stock, orders and proof, as memory and ledger have them.</PageHead>
      {!key && <AdminKey why="Creating, changing and looking into sales needs the admin key." />}
      {id && key && <OneSale key={id} id={id} admin={key} />}
      <Panel title="Sales"><SaleList to="/control/" changed={created} /></Panel>
      {key && <Create admin={key} done={() => setCreated((n) => n + 1)} />}
    </>
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
  async function save() {
    const answer = await fetch(`${API_URL}/v1/sales/${encodeURIComponent(id)}/orders?format=csv`, { headers }).catch(() => null);
    if (!answer?.ok) return setError("The orders could not be read.");
    download(`${id}-orders.csv`, await answer.blob());
  }
  const may = { open: sale !== null && sale.status !== "open" && sale.status !== "closed", pause: sale?.status === "open", close: sale !== null && sale.status !== "closed" };
  return (
    <>
      <Banner connection={connection} />
      {sale && <Figures sale={sale} live={live} />}
      <Panel title={sale?.name ?? id} aside={sale && <div className="flex items-center gap-2"><Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill><Link className="link text-xs" href={`/sale/?id=${id}`}>storefront</Link></div>}>
        <div className="grid gap-4">{sale?.items.map((item) => <Bar key={item.sku} item={item} live={live} />)}</div>
        {!sale && <p className="text-soft">Loading… If nothing comes, there may be no sale with the id “{id}”.</p>}
        <div className="mt-4 flex flex-wrap items-end gap-x-6 gap-y-3 border-t border-line pt-4">
          <div className="flex flex-wrap gap-2">
            <button className="btn" disabled={!may.open} onClick={() => void act(api.POST("/v1/sales/{sale}/open", { params: { path }, headers }))}><Play size={13} aria-hidden />Open</button>
            <button className="btn" disabled={!may.pause} onClick={() => void act(api.POST("/v1/sales/{sale}/pause", { params: { path }, headers }))}><Pause size={13} aria-hidden />Pause</button>
            <button className="btn btn-bad" disabled={!may.close} onClick={() => { if (confirm("Close this sale for good?")) void act(api.POST("/v1/sales/{sale}/close", { params: { path }, headers })); }}>Close for good</button>
          </div>
          <div className="flex flex-wrap gap-2">
            <button className="btn" onClick={() => void act(api.GET("/v1/sales/{sale}/audit", { params: { path }, headers }).then((answer) => { setAudit(answer.data ?? null); return answer; }))}><ShieldCheck size={13} aria-hidden />Audit</button>
            <button className="btn" onClick={() => void save()}><Download size={13} aria-hidden />Orders as CSV</button>
          </div>
          {sale?.items.map((item) => (
            <form key={item.sku} className="flex flex-wrap items-end gap-2" action={(form) => act(api.POST("/v1/sales/{sale}/items/{sku}/restock", {
              params: { path: { sale: id, sku: item.sku } }, headers, body: { delta: Number(form.get("delta")), reason: "control room" } }))}>
              <label className="label text-xs">Restock {item.name} by<input className="field !min-h-8 !w-28" name="delta" type="number" defaultValue={10} required /></label>
              <button className="btn">Restock</button>
            </form>
          ))}
        </div>
        {error && <p role="alert" className="mt-2 text-bad">{error}</p>}
        <Curl path={`/v1/sales/${id}/audit`} admin />
      </Panel>
      {audit && <AuditTable audit={audit} />}
      <Orders id={id} admin={admin} changed={sale?.items.reduce((sum, item) => sum + item.sold, 0) ?? 0} />
    </>
  );
}
