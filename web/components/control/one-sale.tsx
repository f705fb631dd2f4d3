"use client";

import Link from "next/link";
import { useState } from "react";
import { Download, Pause, Play, RotateCw, ShieldCheck } from "lucide-react";
import { api, bearer, exact, type Audit, type Item, type Sale } from "@/lib/api/client";
import { download } from "@/lib/download";
import { count } from "@/lib/format";
import { useAction, type KeyedRequest } from "@/lib/use-action";
import type { WatchedSale } from "@/lib/use-sale";
import { Curl } from "../curl";
import { ActionMessage, Banner, Empty, Panel, Pill, Text } from "../ui";
import { SALE_TONES } from "../sale-list";
import { AuditTable, isOutdated, type Audited } from "./audit-table";
import { Orders } from "./orders";
import { SaleFigures } from "./sale-figures";
import { StockBar } from "./stock-bar";

type StatusChange = "open" | "pause" | "close";

export function OneSale({
  id,
  admin,
  watched: { sale, connection, missing, retry, replace },
  changed,
}: {
  id: string;
  admin: string;
  watched: WatchedSale;
  changed: () => void;
}) {
  const { busy, result, act } = useAction();
  const [audited, setAudited] = useState<Audited | null>(null);
  const live = connection === "live";
  if (missing)
    return (
      <Panel title={<Text>{id}</Text>}>
        <Empty title="There is no such sale">
          No sale has the id “<Text>{id}</Text>”. Choose one below, or create one.
          <div className="mt-3">
            <button className="btn btn-small" onClick={retry}>
              <RotateCw size={13} aria-hidden />
              Check again
            </button>
          </div>
        </Empty>
      </Panel>
    );

  const headersOf = (request: KeyedRequest) => ({
    headers: { ...bearer(admin), ...request.headers },
    signal: request.signal,
  });
  const path = { sale: id };
  const changeStatus = (name: StatusChange) =>
    act({
      name: `${name}:${id}`,
      content: sale?.status,
      call: (request) =>
        name === "open"
          ? api.POST("/v1/sales/{sale}/open", { params: { path }, ...headersOf(request) })
          : name === "pause"
            ? api.POST("/v1/sales/{sale}/pause", { params: { path }, ...headersOf(request) })
            : api.POST("/v1/sales/{sale}/close", { params: { path }, ...headersOf(request) }),
      done: (now) => {
        replace(exact<Sale>(now));
        changed();
        return `The sale is now ${now.status}.`;
      },
    });
  const audit = () =>
    act({
      name: `audit:${id}`,
      call: ({ signal }) => api.GET("/v1/sales/{sale}/audit", { params: { path }, headers: bearer(admin), signal }),
      done: (report) => {
        setAudited({ report: exact<Audit>(report), at: new Date().toISOString() });
        return report.ok ? "Audited: no difference." : "Audited: differences found, listed below.";
      },
      refused: () => setAudited(null),
    });
  const save = () =>
    act({
      name: `csv:${id}`,
      call: ({ signal }) =>
        api.GET("/v1/sales/{sale}/orders", {
          params: { path, query: { format: "csv" } },
          headers: bearer(admin),
          signal,
          parseAs: "blob",
        }),
      done: (file) => {
        download(`${id}-orders.csv`, file);
        return "Orders downloaded.";
      },
    });
  const restock = (item: Item, form: HTMLFormElement) => {
    const body = { delta: Number(new FormData(form).get("delta")), reason: "control room" };
    return act({
      name: `restock:${id}:${item.sku}`,
      content: body,
      call: (request) =>
        api.POST("/v1/sales/{sale}/items/{sku}/restock", {
          params: { path: { sale: id, sku: item.sku } },
          ...headersOf(request),
          body,
        }),
      done: (now) => {
        form.reset();
        return (
          <>
            Restocked <Text>{now.name}</Text> by {count(body.delta)}: its stock is {count(now.stock)}.
          </>
        );
      },
    });
  };
  const allowed = {
    open: sale !== null && sale.status !== "open" && sale.status !== "closed",
    pause: sale?.status === "open" || sale?.status === "scheduled",
    close: sale !== null && sale.status !== "closed",
  };
  return (
    <>
      <Banner connection={connection} />
      {sale && <SaleFigures sale={sale} live={live} />}
      <Panel
        title={<Text>{sale?.name ?? id}</Text>}
        aside={
          sale && (
            <div className="flex items-center gap-2">
              <Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill>
              {!live && <Pill tone="warn">stale</Pill>}
              <Link className="link text-xs" href={`/sale/?id=${id}`}>
                storefront
              </Link>
            </div>
          )
        }
      >
        <div className="grid gap-4">
          {sale?.items.map((item) => (
            <StockBar key={item.sku} item={item} live={live} />
          ))}
        </div>
        {!sale && <p className="text-soft">Loading…</p>}
        <div className="mt-4 flex flex-wrap items-end gap-x-6 gap-y-3 border-t border-line pt-4">
          <div className="flex flex-wrap gap-2">
            <button className="btn" disabled={busy || !allowed.open} onClick={() => void changeStatus("open")}>
              <Play size={13} aria-hidden />
              Open
            </button>
            <button className="btn" disabled={busy || !allowed.pause} onClick={() => void changeStatus("pause")}>
              <Pause size={13} aria-hidden />
              Pause
            </button>
            <button
              className="btn btn-bad"
              disabled={busy || !allowed.close}
              onClick={() => {
                if (confirm(`Close the sale ${id} for good? It cannot be opened again.`)) void changeStatus("close");
              }}
            >
              Close for good
            </button>
          </div>
          <div className="flex flex-wrap gap-2">
            <button className="btn" disabled={busy} onClick={() => void audit()}>
              <ShieldCheck size={13} aria-hidden />
              Audit
            </button>
            <button className="btn" disabled={busy} onClick={() => void save()}>
              <Download size={13} aria-hidden />
              Orders as CSV
            </button>
          </div>
          {sale?.items.map((item) => (
            <form
              key={item.sku}
              className="flex min-w-0 flex-wrap items-end gap-2"
              onSubmit={(event) => {
                event.preventDefault();
                void restock(item, event.currentTarget);
              }}
            >
              <label className="label min-w-0 text-xs">
                <span>
                  Restock <Text>{item.name}</Text> by
                </span>
                <input className="field !min-h-8 !w-28" name="delta" type="number" placeholder="10, or −10" required />
              </label>
              <button className="btn" disabled={busy}>
                Restock
              </button>
            </form>
          ))}
        </div>
        <ActionMessage result={result} />
        <Curl path={`/v1/sales/${id}/audit`} admin />
      </Panel>
      {audited && <AuditTable audited={audited} old={sale !== null && isOutdated(audited.report, sale)} />}
      <Orders id={id} admin={admin} changed={sale?.items} />
    </>
  );
}
