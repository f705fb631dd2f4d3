"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { Trash2 } from "lucide-react";
import { api, bearer, exact, type Sale } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel } from "../ui";
import { ItemFields, itemsOf, type ItemRow } from "./item-fields";
import { useTexts } from "./texts";

/** The form in which a draft's name and items are edited, and the draft deleted. */
export function Draft({
  sale,
  admin,
  replace,
  changed,
}: {
  sale: Sale;
  admin: string;
  replace: (sale: Sale) => void;
  changed: () => void;
}) {
  const t = useTexts().draft;
  const router = useRouter();
  const { busy, result, act } = useAction();
  const [rows, setRows] = useState<ItemRow[]>(() => sale.items.map((item, key) => ({ ...item, key })));
  const path = { sale: sale.id };
  // The API replaces the items of a draft only while none of them draws from a pool or has units at locations.
  const pooled = sale.pools.length > 0 || sale.locations.length > 0;

  function save(form: HTMLFormElement) {
    const fields = new FormData(form);
    const body = { name: String(fields.get("name")), ...(!pooled && { items: itemsOf(fields, rows, []) }) };
    void act({
      name: `edit:${sale.id}`,
      content: body,
      call: ({ headers, signal }) =>
        api.PATCH("/v1/sales/{sale}", { params: { path }, headers: { ...bearer(admin), ...headers }, signal, body }),
      done: (now) => {
        replace(exact<Sale>(now));
        changed();
        return t.saved;
      },
    });
  }

  function remove() {
    if (!confirm(t.sureDelete(sale.id))) return;
    void act({
      name: `delete:${sale.id}`,
      call: async ({ headers, signal }) => {
        const call = { params: { path }, headers: { ...bearer(admin), ...headers }, signal };
        const { response, error } = await api.DELETE("/v1/sales/{sale}", call);
        return { response, error, data: response.ok || undefined };
      },
      done: () => {
        changed();
        router.push("/control/");
        return t.deleted;
      },
    });
  }

  return (
    <Panel title={t.title}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          save(event.currentTarget);
        }}
      >
        <label className="label">
          {t.sale}
          <input className="field" name="name" defaultValue={sale.name} required />
        </label>
        {!pooled && <ItemFields rows={rows} busy={busy} change={setRows} />}
        <div className="flex flex-wrap gap-2">
          <button className="btn btn-main" disabled={busy}>
            {t.save}
          </button>
          <button type="button" className="btn btn-bad" disabled={busy} onClick={remove}>
            <Trash2 size={13} aria-hidden />
            {t.delete}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
