"use client";

import { useState } from "react";
import { Plus } from "lucide-react";
import { api, bearer, type Item, type Sale } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage } from "../ui";
import { ItemRowFields, itemsOf, NEW_ITEM, ROW } from "./item-fields";

/** The form in which an item of a sale gets another name, price or limit, is taken off sale, or is removed. */
export function EditItem({ sale, item, admin }: { sale: Sale; item: Item; admin: string }) {
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
      done: (now) => (now.on_sale ? "The item is changed." : "The item is changed. It is not on sale."),
    });
  }

  function remove() {
    if (!confirm(`Remove the item ${item.sku}?`)) return;
    void act({
      name: `remove:${sale.id}:${item.sku}`,
      call: async ({ headers, signal }) => {
        const call = { params, headers: { ...bearer(admin), ...headers }, signal };
        const { response, error } = await api.DELETE("/v1/sales/{sale}/items/{sku}", call);
        return { response, error, data: response.ok || undefined };
      },
      done: () => "The item is removed.",
    });
  }

  return (
    <div>
      <button type="button" className="link text-xs" aria-expanded={open} onClick={() => setOpen(!open)}>
        Edit <span className="sr-only">{item.name}</span>
      </button>
      {open && (
        <form
          aria-label={`Edit ${item.name}`}
          className={`${ROW} mt-2`}
          onSubmit={(event) => {
            event.preventDefault();
            save(event.currentTarget);
          }}
        >
          <label className="label min-w-0">
            Name
            <input className="field" name="name" defaultValue={item.name} required />
          </label>
          <label className="label min-w-0">
            Price, minor units
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
            Limit per customer (optional)
            <input className="field" name="limit" type="number" min={1} defaultValue={item.limit_per_customer ?? ""} />
          </label>
          <label className="flex min-h-9 items-center gap-2">
            <input type="checkbox" name="on_sale" defaultChecked={item.on_sale} />
            On sale
          </label>
          <button className="btn btn-main" disabled={busy}>
            Save item
          </button>
          <button
            type="button"
            className="btn btn-bad"
            disabled={busy || item.held + item.sold > 0}
            onClick={remove}
            title="Only an item of which nothing was ever held or sold can be removed"
          >
            Remove item
          </button>
        </form>
      )}
      <ActionMessage result={result} />
    </div>
  );
}

/** The form in which a sale gets another item. */
export function AddItem({ sale, admin }: { sale: Sale; admin: string }) {
  const { busy, result, act } = useAction();
  const [open, setOpen] = useState(false);
  const pools = sale.pools.map((pool, key) => ({ ...pool, key }));
  const row = { ...NEW_ITEM, currency: sale.items[0]?.currency ?? NEW_ITEM.currency, key: 0 };

  function add(form: HTMLFormElement) {
    const body = itemsOf(new FormData(form), [row], pools)[0]!;
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
        return `The item ${item.sku} is added.`;
      },
    });
  }

  return (
    <div className="mt-4">
      <button type="button" className="btn" aria-expanded={open} onClick={() => setOpen(!open)}>
        <Plus size={13} aria-hidden />
        New item
      </button>
      {open && (
        <form
          aria-label="New item"
          className="mt-3"
          onSubmit={(event) => {
            event.preventDefault();
            add(event.currentTarget);
          }}
        >
          <fieldset className={ROW}>
            <legend className="sr-only">New item</legend>
            <ItemRowFields row={row} pools={pools} />
            <button className="btn btn-main" disabled={busy}>
              Add to the sale
            </button>
          </fieldset>
        </form>
      )}
      <ActionMessage result={result} />
    </div>
  );
}
