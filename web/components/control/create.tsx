"use client";

import { useRouter } from "next/navigation";
import { api, bearer } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel } from "../ui";

const FIELDS = [
  ["name", "Sale", "Drop", "text"],
  ["item", "Item", "Sneaker", "text"],
  ["stock", "Stock", "100", "number"],
  ["price", "Price in minor units", "1999", "number"],
  ["currency", "Currency", "EUR", "text"],
  ["hold", "Hold in seconds", "120", "number"],
  ["limit", "Limit per customer (optional)", "", "number"],
] as const;

export function Create({ admin, done }: { admin: string; done: () => void }) {
  const router = useRouter();
  const { busy, result, act } = useAction();
  function create(form: HTMLFormElement) {
    const values = new FormData(form);
    const text = (name: string) => String(values.get(name) ?? "");
    const body = {
      name: text("name"),
      hold_seconds: Number(text("hold")),
      limit_per_customer: text("limit") ? Number(text("limit")) : null,
      items: [
        {
          sku: "unit",
          name: text("item"),
          price_minor: Number(text("price")),
          currency: text("currency"),
          stock: Number(text("stock")),
        },
      ],
    };
    void act({
      name: "create-sale",
      content: body,
      call: ({ headers, signal }) => api.POST("/v1/sales", { headers: { ...bearer(admin), ...headers }, signal, body }),
      done: (sale) => {
        form.reset();
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
        className="grid grid-cols-2 gap-3 md:grid-cols-4"
      >
        {FIELDS.map(([name, label, value, type]) => (
          <label key={name} className="label">
            {label}
            <input className="field" name={name} type={type} min={0} defaultValue={value} required={name !== "limit"} />
          </label>
        ))}
        <button className="btn btn-main self-end" disabled={busy}>
          Create as draft
        </button>
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
