import type { Audit, Sale } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { Panel, Pill, Text } from "../ui";
import { useTexts } from "./texts";

/** An audit and the time of its answer, by this computer. */
export type Audited = { report: Audit; at: string };

/** Return whether the units of the sale have moved since the audit. */
export function isOutdated(report: Audit, sale: Sale): boolean {
  return report.items.some((row) => {
    const now =
      row.kind === "pool"
        ? sale.pools.find((pool) => pool.id === row.sku)
        : sale.items.find((item) => item.sku === row.sku);
    const [stock, held, sold] = [
      row.memory_stock ?? row.stock,
      row.memory_held ?? row.held,
      row.memory_sold ?? row.sold,
    ];
    return now !== undefined && (now.stock !== stock || now.held !== held || now.sold !== sold);
  });
}

/** An audit's figures, item by item. `old`: the sale has changed since. */
export function AuditTable({ audited: { report, at }, old }: { audited: Audited; old: boolean }) {
  const t = useTexts().audit;
  return (
    <Panel
      title={t.auditOf(time(at))}
      aside={
        <div className="flex flex-wrap gap-2">
          {old && <Pill tone="warn">{t.changed}</Pill>}
          <Pill tone={old ? "soft" : report.ok ? "good" : "bad"}>{report.ok ? t.good : t.bad}</Pill>
        </div>
      }
    >
      {old && <p className="mb-3 text-warn">{t.old}</p>}
      <div className={`overflow-x-auto ${old ? "stale" : ""}`} tabIndex={0} role="region" aria-label={t.rows}>
        <table className="table">
          <thead>
            <tr>
              <th>{t.item}</th>
              <th>{t.stock}</th>
              <th>{t.available}</th>
              <th>{t.held}</th>
              <th>{t.sold}</th>
              <th>{t.oversold}</th>
              <th>{t.differences}</th>
            </tr>
          </thead>
          <tbody>
            {report.items.map((row) => (
              <tr key={row.sku}>
                <td>
                  <Text>{row.sku}</Text>
                  {row.kind === "pool" && <span className="text-soft"> ({t.pool})</span>}
                </td>
                <td>{row.stock === null ? t.none : count(row.stock)}</td>
                <td>{row.available === null ? "" : count(row.available)}</td>
                <td>{count(row.held)}</td>
                <td>{count(row.sold)}</td>
                <td>{count(row.oversold)}</td>
                <td>{row.differences.length ? <Text>{row.differences.join("; ")}</Text> : t.none}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {report.differences.map((text) => (
        <p key={text} className="mt-2 text-bad">
          <Text>{text}</Text>
        </p>
      ))}
    </Panel>
  );
}
