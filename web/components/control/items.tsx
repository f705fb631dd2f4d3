"use client";

import { useState } from "react";
import { Plus } from "lucide-react";
import { api, bearer, type Item, type Sale } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage } from "../ui";
import { ItemRowFields, itemsOf, NEW_ITEM, ROW } from "./item-fields";
import { useTexts } from "./texts";

/** The form in which an item of a sale gets another name, price or limit, is taken off sale, or is removed. */
export function EditItem({ sale, item, admin }: { sale: Sale; item: Item; admin: string }) {
  const t = useTexts().items;
  const { busy, result, act } = useAction();
  const [open, setOpen] = useState(false);
  const params = { path: { sale: sale.id, sku: item.sku } };

  function save(form: HTMLFormElement) {
    const fields = new FormData(form);
    const body = {
      name: String(fields.get("name")),
      price_minor: Number(fields.get("price_minor")),
      limit_per_customer: fields.get("limit") ? Number(fields.get("limit")) : null,
      on_sale: fields.has("on_sale"),
    };
    void act<Item>({
      name: `item:${sale.id}:${item.sku}`,
      content: body,
      call: ({ headers, signal }) =>
        api.PATCH("/v1/sales/{sale}/items/{sku}", {
          params,
          headers: { ...bearer(admin), ...headers },
          signal,
          body,
        }),
      done: (now) => (now.on_sale ? t.changed : t.changedOff),
    });
  }

  function remove() {
    if (!confirm(t.sureRemove(item.sku))) return;
    void act({
      name: `remove:${sale.id}:${item.sku}`,
      call: async ({ headers, signal }) => {
        const call = { params, headers: { ...bearer(admin), ...headers }, signal };
        const { response, error } = await api.DELETE("/v1/sales/{sale}/items/{sku}", call);
        return { response, error, data: response.ok || undefined };
      },
      done: () => t.removed,
    });
  }

  return (
    <div>
      <button type="button" className="link text-xs" aria-expanded={open} onClick={() => setOpen(!open)}>
        {t.edit} <span className="sr-only">{item.name}</span>
      </button>
      {open && (
        <form
          aria-label={t.editOf(item.name)}
          className={`${ROW} mt-2`}
          onSubmit={(event) => {
            event.preventDefault();
            save(event.currentTarget);
          }}
        >
          <label className="label min-w-0">
            {t.name}
            <input className="field" name="name" defaultValue={item.name} required />
          </label>
          <label className="label min-w-0">
            {t.price_minor}
            <input
              className="field"
              name="price_minor"
              type="number"
              min={0}
              defaultValue={item.price_minor}
              required
            />
          </label>
          <label className="label min-w-0">
            {t.limit}
            <input className="field" name="limit" type="number" min={1} defaultValue={item.limit_per_customer ?? ""} />
          </label>
          <label className="flex min-h-9 items-center gap-2">
            <input type="checkbox" name="on_sale" defaultChecked={item.on_sale} />
            {t.onSale}
          </label>
          <button className="btn btn-main" disabled={busy}>
            {t.save}
          </button>
          <button
            type="button"
            className="btn btn-bad"
            disabled={busy || item.held + item.sold > 0}
            onClick={remove}
            title={t.onlyUnused}
          >
            {t.removeItem}
          </button>
        </form>
      )}
      <ActionMessage result={result} />
    </div>
  );
}

/** The form in which a sale gets another item. */
export function AddItem({ sale, admin }: { sale: Sale; admin: string }) {
  const t = useTexts().items;
  const { busy, result, act } = useAction();
  const [open, setOpen] = useState(false);
  const pools = sale.pools.map((pool, key) => ({ ...pool, key }));
  const places = sale.locations.map((place, key) => ({ ...place, key }));
  const row = { ...NEW_ITEM, currency: sale.items[0]?.currency ?? NEW_ITEM.currency, key: 0 };

  function add(form: HTMLFormElement) {
    const body = itemsOf(new FormData(form), [row], pools, places)[0]!;
    void act<Item>({
      name: `add-item:${sale.id}`,
      content: body,
      call: ({ headers, signal }) =>
        api.POST("/v1/sales/{sale}/items", {
          params: { path: { sale: sale.id } },
          headers: { ...bearer(admin), ...headers },
          signal,
          body,
        }),
      done: (item) => {
        form.reset();
        return t.added(item.sku);
      },
    });
  }

  return (
    <div className="mt-4">
      <button type="button" className="btn" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Plus size={13} aria-hidden />
        {t.newItem}
      </button>
      {open && (
        <form
          aria-label={t.newItem}
          className="mt-3"
          onSubmit={(event) => {
            event.preventDefault();
            add(event.currentTarget);
          }}
        >
          <fieldset className={ROW}>
            <legend className="sr-only">{t.newItem}</legend>
            <ItemRowFields row={row} pools={pools} places={places} />
            <button className="btn btn-main" disabled={busy}>
              {t.addToSale}
            </button>
          </fieldset>
        </form>
      )}
      <ActionMessage result={result} />
    </div>
  );
}
