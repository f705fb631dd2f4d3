"use client";

import { api, bearer, exact, type Sale, type ShadowReport } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { useRead } from "@/lib/use-read";
import { ActionMessage, Fact, Text } from "../ui";
import { Listed } from "./listed";
import { useTexts } from "./texts";

const EVERY_MS = 5_000;

/** A draft becomes the shadow of a shop whose own stock decides; a shadow shows where the two differ. */
export function Shadow({ sale, admin, manages }: { sale: Sale; admin: string; manages: boolean }) {
  const t = useTexts().shadow;
  const { busy, result, act } = useAction();
  const params = { path: { sale: sale.id } };
  const read = useRead(
    `${admin} ${sale.id}`,
    async (signal) => {
      const answer = await api.GET("/v1/sales/{sale}/shadow", { params, headers: bearer(admin), signal });
      return { ...answer, data: answer.data && exact<ShadowReport>(answer.data) };
    },
    EVERY_MS,
  );
  const report = read.data;
  function begin() {
    if (!confirm(t.sureBegin)) return;
    void act({
      name: `shadow:${sale.id}`,
      call: ({ signal }) => api.POST("/v1/sales/{sale}/shadow", { params, headers: bearer(admin), signal }),
      done: () => {
        read.again();
        return t.begun;
      },
    });
  }

  if (!report)
    return (
      <div>
        <p className="mb-3 text-soft">{t.what}</p>
        {manages && sale.status === "draft" && (
          <button type="button" className="btn" disabled={busy} onClick={begin}>
            {t.begin}
          </button>
        )}
        <ActionMessage result={result} />
      </div>
    );
  return (
    <div className="grid gap-4">
      <p className="text-soft">{t.since(time(report.since))}</p>
      <dl className="grid grid-cols-2 gap-3 md:grid-cols-5">
        {(["both_sold", "both_refused", "only_shop_sold", "only_flashguard_sold", "returned"] as const).map((name) => (
          <Fact key={name} name={t[name]}>
            {count(report[name])}
          </Fact>
        ))}
      </dl>
      <Listed
        pages={{ ...read, rows: report.differences, older: null }}
        label={t.differences}
        columns={[t.at, t.customer, t.items, t.shop, t.ours]}
        empty={<p>{t.same}</p>}
      >
        {(row) => (
          <tr key={row.key}>
            <td>{time(row.at)}</td>
            <td>
              <Text>{row.customer}</Text>
            </td>
            <td>
              <Text>{row.items.map((line) => `${count(line.quantity)} × ${line.sku}`).join(", ")}</Text>
            </td>
            <td lang="en">{row.shop}</td>
            <td lang="en">{row.ours}</td>
          </tr>
        )}
      </Listed>
    </div>
  );
}
