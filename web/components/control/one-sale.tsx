"use client";

import { useState } from "react";
import { Download, Pause, Play, RotateCw, ShieldCheck } from "lucide-react";
import { api, bearer, exact, type Audit, type Item, type Pool, type Sale } from "@/lib/api/client";
import { download } from "@/lib/download";
import { useAction, type KeyedRequest } from "@/lib/use-action";
import type { WatchedSale } from "@/lib/use-sale";
import { Link } from "../link";
import { Curl } from "../curl";
import { ActionMessage, Banner, Empty, Panel, Pill, Text } from "../ui";
import { SALE_TONES } from "../sale-list";
import { AuditTable, isOutdated, type Audited } from "./audit-table";
import { Draft } from "./draft";
import { AddItem, EditItem } from "./items";
import { Orders } from "./orders";
import { Restocked, RestockForm, type Restock } from "./restock-form";
import { SaleFigures } from "./sale-figures";
import { StockBar } from "./stock-bar";

/** A bar, and beside it the form that restocks it. */
const ROW = "grid items-end gap-x-6 gap-y-2 md:grid-cols-[minmax(0,1fr)_16.5rem]";

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
  const restock = (item: Item | Pool, change: Restock, form: HTMLFormElement, location?: string) => {
    const body = { ...change, reason: "control room", ...(location !== undefined && { location }) };
    return act<Item | Pool>({
      name: `restock:${id}:${"sku" in item ? item.sku : item.id}`,
      content: body,
      call: (request) =>
        "sku" in item
          ? api.POST("/v1/sales/{sale}/items/{sku}/restock", {
              params: { path: { sale: id, sku: item.sku } },
              ...headersOf(request),
              body,
            })
          : api.POST("/v1/sales/{sale}/pools/{pool}/restock", {
              params: { path: { sale: id, pool: item.id } },
              ...headersOf(request),
              body,
            }),
      done: (now) => {
        form.reset();
        return <Restocked change={change} item={now} />;
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
        <ul className="grid gap-4">
          {sale?.items.map((item) => (
            <li key={item.sku} className="grid gap-3">
              <div className={ROW}>
                <StockBar item={item} live={live} />
                {item.stock !== null && item.locations.length === 0 && (
                  <RestockForm item={item} busy={busy} restock={(...form) => void restock(...form)} />
                )}
              </div>
              {item.locations.length > 0 && (
                <ul aria-label={`${item.name} at its locations`} className="grid gap-3 border-l border-line pl-4">
                  {item.locations.map((at) => {
                    const name = sale.locations.find((each) => each.id === at.id)?.name ?? at.id;
                    const place = { ...at, name };
                    return (
                      <li key={at.id} className={ROW}>
                        <StockBar item={place} kind="location" live={live} />
                        <RestockForm
                          item={{ ...place, name: `${item.name} at ${name}` }}
                          busy={busy}
                          restock={(_, change, form) => void restock(item, change, form, at.id)}
                        />
                      </li>
                    );
                  })}
                </ul>
              )}
              {sale.status !== "draft" && <EditItem sale={sale} item={item} admin={admin} />}
            </li>
          ))}
          {sale?.pools.map((pool) => (
            <li key={pool.id} className={ROW}>
              <StockBar item={pool} kind="pool" live={live} />
              <RestockForm item={pool} busy={busy} restock={(...form) => void restock(...form)} />
            </li>
          ))}
        </ul>
        {!sale && <p className="text-soft">Loading…</p>}
        {sale && sale.status !== "closed" && <AddItem sale={sale} admin={admin} />}
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
        </div>
        <ActionMessage result={result} />
        <Curl path={`/v1/sales/${id}/audit`} admin />
      </Panel>
      {sale?.status === "draft" && sale.spread === 1 && (
        <Draft sale={sale} admin={admin} replace={replace} changed={changed} />
      )}
      {audited && <AuditTable audited={audited} old={sale !== null && isOutdated(audited.report, sale)} />}
      <Orders id={id} admin={admin} items={sale?.items} />
    </>
  );
}
