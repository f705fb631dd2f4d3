"use client";

import { useRouter } from "next/navigation";
import { useState } from "react";
import { api, bearer, sentence } from "@/lib/api/client";
import { Panel } from "../parts";

export function Create({ admin, done }: { admin: string; done: () => void }) {
  const router = useRouter();
  const [error, setError] = useState("");
  async function create(form: FormData) {
    const text = (name: string) => String(form.get(name) ?? "");
    const { data, error } = await api.POST("/v1/sales", { headers: bearer(admin), body: {
      name: text("name"), hold_seconds: Number(text("hold")), limit_per_customer: text("limit") ? Number(text("limit")) : null,
      items: [{ sku: "unit", name: text("item"), price_minor: Number(text("price")), currency: text("currency"), stock: Number(text("stock")) }],
    } }).catch(() => ({ data: undefined, error: undefined }));
    if (!data) return setError(sentence(error));
    setError("");
    done();
    router.push(`/control/?id=${data.id}`);
  }
  const fields = [["name", "Sale", "Drop", "text"], ["item", "Item", "Sneaker", "text"], ["stock", "Stock", "100", "number"], ["price", "Price, in minor units", "1999", "number"],
    ["currency", "Currency", "EUR", "text"], ["hold", "Hold, seconds", "120", "number"], ["limit", "Limit per customer (optional)", "", "number"]] as const;
  return (
    <Panel title="Create a sale">
      <form action={create} className="grid grid-cols-2 gap-3 md:grid-cols-4">
        {fields.map(([name, label, value, type]) => <label key={name} className="label">{label}<input className="field" name={name} type={type} min={0} defaultValue={value} required={name !== "limit"} /></label>)}
        <button className="btn btn-main self-end">Create as draft</button>
      </form>
      {error && <p role="alert" className="mt-2 text-bad">{error}</p>}
    </Panel>
  );
}
