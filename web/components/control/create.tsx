"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { api, bearer } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel } from "../ui";
import { ItemFields, itemsOf, NEW_ITEM, PoolFields, type ItemRow, type PoolRow } from "./item-fields";

const FIELDS = [
  ["name", "Sale", "Drop", "text"],
  ["hold", "Hold in seconds", "120", "number"],
  ["limit", "Limit per customer (optional)", "", "number"],
] as const;
const FIRST: ItemRow[] = [{ ...NEW_ITEM, key: 0, sku: "unit", name: "Sneaker" }];

export function Create({ admin, done }: { admin: string; done: () => void }) {
  const router = useRouter();
  const { busy, result, act } = useAction();
  const [items, setItems] = useState(FIRST);
  const [pools, setPools] = useState<PoolRow[]>([]);
  function create(form: HTMLFormElement) {
    const fields = new FormData(form);
    const text = (name: string) => String(fields.get(name) ?? "");
    const body = {
      name: text("name"),
      hold_seconds: Number(text("hold")),
      limit_per_customer: text("limit") ? Number(text("limit")) : null,
      items: itemsOf(fields, items, pools),
      ...(pools.length > 0 && { pools: pools.map(({ id, name, stock }) => ({ id, name, stock })) }),
    };
    void act({
      name: "create-sale",
      content: body,
      call: ({ headers, signal }) => api.POST("/v1/sales", { headers: { ...bearer(admin), ...headers }, signal, body }),
      done: (sale) => {
        form.reset();
        setItems(FIRST);
        setPools([]);
        done();
        router.push(`/control/?id=${sale.id}`);
        return `Created the draft ${sale.id}. It is shown above.`;
      },
    });
  }
  return (
    <Panel title="Create a sale">
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create(event.currentTarget);
        }}
        className="grid gap-3"
      >
        <div className="grid grid-cols-2 items-end gap-3 md:grid-cols-4">
          {FIELDS.map(([name, label, value, type]) => (
            <label key={name} className="label">
              {label}
              <input
                className="field"
                name={name}
                type={type}
                min={0}
                defaultValue={value}
                required={name !== "limit"}
              />
            </label>
          ))}
        </div>
        <ItemFields rows={items} pools={pools} busy={busy} change={setItems} />
        <PoolFields rows={pools} busy={busy} change={setPools} />
        <div>
          <button className="btn btn-main" disabled={busy}>
            Create as draft
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
