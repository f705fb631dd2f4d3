"use client";

import Link from "next/link";
import { useEffect, useState } from "react";
import { api, bearer, exact, sentence, type Sale } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Empty, Pill, Text, type Tone } from "./parts";

export const SALE_TONES: Record<Sale["status"], Tone> = {
  draft: "soft",
  scheduled: "info",
  open: "good",
  paused: "warn",
  closed: "soft",
};
/** Between two looks at the list; as much again by chance, so that pages spread out. */
const LOOK_MS = 3_000;
const TIMEOUT_MS = 10_000;

/** The newest sales, looked at every few seconds while the page is seen. `live`: one that the page follows closer. */
export function SaleList({
  to,
  changed,
  admin = "",
  live,
}: {
  to: string;
  changed?: unknown;
  admin?: string;
  live?: Sale | null;
}) {
  const [read, setRead] = useState<{ sales: Sale[]; more: boolean } | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let gone = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const look = async () => {
      if (!document.hidden) {
        const answer = await api
          .GET("/v1/sales", { headers: admin ? bearer(admin) : undefined, signal: AbortSignal.timeout(TIMEOUT_MS) })
          .catch(() => null);
        if (gone) return;
        if (answer?.data) setRead({ sales: exact<Sale[]>(answer.data.data), more: answer.data.next_cursor !== null });
        setError(answer?.data ? "" : sentence(answer?.error));
      }
      timer = setTimeout(() => void look(), LOOK_MS * (1 + Math.random()));
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [changed, admin]);
  const wrong = error && (
    <p className="mb-2 text-bad" role="alert">
      {error}
      {read && " The list is stale."}
    </p>
  );
  if (!read) return wrong || <p className="text-soft">Loading…</p>;
  if (!read.sales.length)
    return (
      wrong || (
        <Empty title="There is no sale yet">
          Create one in the{" "}
          <Link className="link" href="/control/">
            control room
          </Link>
          .
        </Empty>
      )
    );
  const shown = read.sales.map((sale) => (sale.id === live?.id ? live : sale));
  return (
    <>
      {wrong}
      <div className={`overflow-x-auto ${error ? "stale" : ""}`} tabIndex={0} role="region" aria-label="Sales">
        <table className="table">
          <thead>
            <tr>
              <th>Sale</th>
              <th>Status</th>
              <th className="num">Available</th>
              <th className="num">Sold</th>
            </tr>
          </thead>
          <tbody>
            {shown.map((sale) => (
              <tr key={sale.id}>
                <td>
                  <Link className="link font-medium" href={`${to}?id=${sale.id}`}>
                    <Text>{sale.name}</Text>
                  </Link>
                </td>
                <td>
                  <Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill>
                </td>
                <td className="num">{count(sale.items.reduce((sum, item) => sum + item.available, 0))}</td>
                <td className="num">{count(sale.items.reduce((sum, item) => sum + item.sold, 0))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {read.more && <p className="mt-2 text-xs text-soft">The newest {count(shown.length)} sales.</p>}
    </>
  );
}
