"use client";

import { useState } from "react";
import { Download, Pause, Play, RotateCw, ShieldCheck } from "lucide-react";
import { api, bearer, exact, type Audit, type Item, type Pool, type Right, type Sale } from "@/lib/api/client";
import { useMessages } from "@/lib/language";
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
import { More } from "./more";
import { Orders } from "./orders";
import { Restocked, RestockForm, type Restock } from "./restock-form";
import { SaleFigures } from "./sale-figures";
import { StockBar } from "./stock-bar";
import { Find } from "./find";
import { Room } from "./room";
import { Rules } from "./rules";
import { Shadow } from "./shadow";
import { useTexts } from "./texts";

/** A bar, and beside it the form that restocks it. */
const ROW = "grid items-end gap-x-6 gap-y-2 md:grid-cols-[minmax(0,1fr)_27rem]";

type StatusChange = "open" | "pause" | "close";

export function OneSale({
  id,
  admin,
  may,
  watched: { sale, connection, missing, retry, replace },
  changed,
}: {
  id: string;
  admin: string;
  may: (right: Right) => boolean;
  watched: WatchedSale;
  changed: () => void;
}) {
  const { common, sales: words, pages } = useMessages();
  const t = useTexts().sale;
  const { busy, result, act } = useAction();
  const [audited, setAudited] = useState<Audited | null>(null);
  const live = connection === "live";
  const manages = may("manage-sales");
  if (missing)
    return (
      <Panel title={<Text>{id}</Text>}>
        <Empty title={t.missing}>
          {t.missingId(<Text>{id}</Text>)}
          <div className="mt-3">
            <button className="btn btn-small" onClick={retry}>
              <RotateCw size={13} aria-hidden />
              {common.checkAgain}
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
        return t.isNow(words.statuses[exact<Sale>(now).status]);
      },
    });
  const audit = () =>
    act({
      name: `audit:${id}`,
      call: ({ signal }) => api.GET("/v1/sales/{sale}/audit", { params: { path }, headers: bearer(admin), signal }),
      done: (report) => {
        setAudited({ report: exact<Audit>(report), at: new Date().toISOString() });
        return report.ok ? t.auditGood : t.auditBad;
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
        return t.downloaded;
      },
    });
  const restock = (item: Item | Pool, change: Restock, form: HTMLFormElement, location?: string) => {
    const body = { ...change, ...(location !== undefined && { location }) };
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
              <Pill tone={SALE_TONES[sale.status]}>{words.statuses[sale.status]}</Pill>
              {!live && <Pill tone="warn">{common.stale}</Pill>}
              <Link className="link text-xs" href={`/sale/?id=${id}`}>
                {pages.storefront}
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
                {manages && item.stock !== null && item.locations.length === 0 && (
                  <RestockForm item={item} busy={busy} restock={(...form) => void restock(...form)} />
                )}
              </div>
              {item.locations.length > 0 && (
                <ul aria-label={t.atLocations(item.name)} className="grid gap-3 border-l border-line pl-4">
                  {item.locations.map((at) => {
                    const name = sale.locations.find((each) => each.id === at.id)?.name ?? at.id;
                    const place = { ...at, name };
                    return (
                      <li key={at.id} className={ROW}>
                        <StockBar item={place} kind="location" live={live} />
                        {manages && (
                          <RestockForm
                            item={{ ...place, name: t.at(item.name, name) }}
                            busy={busy}
                            restock={(_, change, form) => void restock(item, change, form, at.id)}
                          />
                        )}
                      </li>
                    );
                  })}
                </ul>
              )}
              {manages && sale.status !== "draft" && <EditItem sale={sale} item={item} admin={admin} />}
            </li>
          ))}
          {sale?.pools.map((pool) => (
            <li key={pool.id} className={ROW}>
              <StockBar item={pool} kind="pool" live={live} />
              {manages && <RestockForm item={pool} busy={busy} restock={(...form) => void restock(...form)} />}
            </li>
          ))}
        </ul>
        {!sale && <p className="text-soft">{common.loading}</p>}
        {manages && sale && sale.status !== "closed" && <AddItem sale={sale} admin={admin} />}
        <div className="mt-4 flex flex-wrap items-end gap-x-6 gap-y-3 border-t border-line pt-4">
          {manages && (
            <div className="flex flex-wrap gap-2">
              <button className="btn" disabled={busy || !allowed.open} onClick={() => void changeStatus("open")}>
                <Play size={13} aria-hidden />
                {t.open}
              </button>
              <button className="btn" disabled={busy || !allowed.pause} onClick={() => void changeStatus("pause")}>
                <Pause size={13} aria-hidden />
                {t.pause}
              </button>
              <button
                className="btn btn-bad"
                disabled={busy || !allowed.close}
                onClick={() => {
                  if (confirm(t.sureClose(id))) void changeStatus("close");
                }}
              >
                {t.close}
              </button>
            </div>
          )}
          <div className="flex flex-wrap gap-2">
            {may("read-audit") && (
              <button className="btn" disabled={busy} onClick={() => void audit()}>
                <ShieldCheck size={13} aria-hidden />
                {t.audit}
              </button>
            )}
            {may("read-orders") && (
              <button className="btn" disabled={busy} onClick={() => void save()}>
                <Download size={13} aria-hidden />
                {t.csv}
              </button>
            )}
          </div>
        </div>
        <ActionMessage result={result} />
        <Curl path={`/v1/sales/${id}/audit`} admin />
      </Panel>
      {manages && sale?.status === "draft" && sale.spread === 1 && (
        <Draft sale={sale} admin={admin} replace={replace} changed={changed} />
      )}
      {audited && <AuditTable audited={audited} old={sale !== null && isOutdated(audited.report, sale)} />}
      {may("read-orders") && <Orders id={id} admin={admin} items={sale?.items} mayChange={may("change-orders")} />}
      {sale && may("read-reservations") && <Find sale={id} items={sale.items} admin={admin} may={may} />}
      {sale && manages && <Room sale={sale} admin={admin} replace={replace} />}
      {sale && manages && sale.status !== "closed" && (
        <Rules key={sale.status} sale={sale} admin={admin} replace={replace} />
      )}
      {sale && may("read-orders") && (
        <More title={t.shadow} className="panel !p-0" lazily>
          <Shadow sale={sale} admin={admin} manages={manages} />
        </More>
      )}
    </>
  );
}
