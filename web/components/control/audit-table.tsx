import type { Audit } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Panel, Pill } from "../parts";

export function AuditTable({ audit }: { audit: Audit }) {
  return (
    <Panel title="Audit" aside={<Pill tone={audit.ok ? "good" : "bad"}>{audit.ok ? "no difference" : "differences"}</Pill>}>
      <div className="overflow-x-auto" tabIndex={0} role="region" aria-label="Audit rows"><table className="table">
        <thead><tr><th>Item</th><th>Stock</th><th>Available</th><th>Held</th><th>Sold</th><th>Oversold</th><th>Differences</th></tr></thead>
        <tbody>{audit.items.map((row) => <tr key={row.sku}><td>{row.sku}</td><td>{count(row.stock)}</td><td>{count(row.available)}</td><td>{count(row.held)}</td><td>{count(row.sold)}</td><td>{count(row.oversold)}</td><td>{row.differences.join("; ") || "none"}</td></tr>)}</tbody>
      </table></div>
      {audit.differences.map((text) => <p key={text} className="mt-2 text-bad">{text}</p>)}
    </Panel>
  );
}
