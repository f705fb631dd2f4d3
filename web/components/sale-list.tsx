"use client";

import Link from "next/link";
import { useEffect, useState } from "react";
import { api, sentence, type Sale } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Empty, Pill, type Tone } from "./parts";

export const SALE_TONES: Record<Sale["status"], Tone> = { draft: "soft", scheduled: "info", open: "good", paused: "warn", closed: "soft" };

export function SaleList({ to, changed }: { to: string; changed?: unknown }) {
  const [sales, setSales] = useState<Sale[] | null>(null);
  const [error, setError] = useState("");
  useEffect(() => {
    let gone = false;
    void api.GET("/v1/sales", {}).then(({ data, error }) => {
      if (gone) return;
      if (data) setSales(data.data);
      else setError(sentence(error));
    }, () => setError("FlashGuard does not answer."));
    return () => { gone = true; };
  }, [changed]);
  if (error) return <p className="text-bad" role="alert">{error}</p>;
  if (!sales) return <p className="text-soft">Loading…</p>;
  if (!sales.length) return <Empty title="There is no sale yet">Create one in the <Link className="link" href="/control/">control room</Link>.</Empty>;
  return (
    <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Sales">
      <table className="table"><thead><tr><th>Sale</th><th>Status</th><th className="num">Available</th><th className="num">Sold</th></tr></thead><tbody>
        {sales.map((sale) => (
          <tr key={sale.id}>
            <td><Link className="link font-medium" href={`${to}?id=${sale.id}`}>{sale.name}</Link></td>
            <td><Pill tone={SALE_TONES[sale.status]}>{sale.status}</Pill></td>
            <td className="num">{count(sale.items.reduce((sum, item) => sum + item.available, 0))}</td>
            <td className="num">{count(sale.items.reduce((sum, item) => sum + item.sold, 0))}</td>
          </tr>
        ))}
      </tbody></table>
    </div>
  );
}
