"use client";

import { useEffect, useState } from "react";
import { api, detailOf, exact, type Sale } from "@/lib/api/client";
import { count } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { unitsIn } from "@/lib/stock";
import { Link } from "./link";
import { Empty, Pill, Text, type Tone } from "./ui";

export const SALE_TONES: Record<Sale["status"], Tone> = {
  draft: "soft",
  scheduled: "info",
  open: "good",
  paused: "warn",
  closed: "soft",
};
/** The least time between two polls. Up to as much again is added at random, to spread pages out. */
const POLL_MS = 3_000;
const TIMEOUT_MS = 10_000;

/** The newest sales that buyers can see, polled while the page is visible. */
export function SaleList({ to }: { to: string }) {
  const { sales: t, common } = useMessages();
  const [read, setRead] = useState<{ sales: Sale[]; more: boolean } | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const poll = async () => {
      if (!document.hidden) {
        const answer = await api.GET("/v1/sales", { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => null);
        if (cancelled) return;
        if (answer?.data) setRead({ sales: exact<Sale[]>(answer.data.data), more: answer.data.next_cursor !== null });
        setError(answer?.data ? "" : detailOf(answer?.error));
      }
      timer = setTimeout(() => void poll(), POLL_MS * (1 + Math.random()));
    };
    void poll();
    return () => {
      cancelled = true;
      clearTimeout(timer);
    };
  }, []);
  const problem = error && (
    <p className="mb-2 text-bad" role="alert">
      {error}
      {read && t.staleList}
    </p>
  );
  if (!read) return problem || <p className="text-soft">{common.loading}</p>;
  if (!read.sales.length)
    return (
      problem || (
        <Empty title={t.none}>
          {t.createOne((text) => (
            <Link className="link" href="/control/">
              {text}
            </Link>
          ))}
        </Empty>
      )
    );
  return (
    <>
      {problem}
      <div className={`overflow-x-auto ${error ? "stale" : ""}`} tabIndex={0} role="region" aria-label={t.list}>
        <table className="table">
          <thead>
            <tr>
              <th>{t.sale}</th>
              <th>{t.status}</th>
              <th className="num">{t.available}</th>
              <th className="num">{t.sold}</th>
            </tr>
          </thead>
          <tbody>
            {read.sales.map((sale) => (
              <tr key={sale.id}>
                <td>
                  <Link className="link font-medium" href={`${to}?id=${sale.id}`}>
                    <Text>{sale.name}</Text>
                  </Link>
                </td>
                <td>
                  <Pill tone={SALE_TONES[sale.status]}>{t.statuses[sale.status]}</Pill>
                </td>
                <td className="num">{count(unitsIn(sale, "available"))}</td>
                <td className="num">{count(unitsIn(sale, "sold"))}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {read.more && <p className="mt-2 text-xs text-soft">{t.newest(count(read.sales.length))}</p>}
    </>
  );
}
