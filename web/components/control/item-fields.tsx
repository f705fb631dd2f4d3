"use client";

import { Plus } from "lucide-react";
import type { Item, Pool } from "@/lib/api/client";

/** An item in a form, before it is sent. Its `key` names its fields. */
export type ItemRow = Pick<Item, "sku" | "name" | "price_minor" | "currency" | "stock"> & { key: number };
/** A pool in a form. Its id is a state of the form, because the items' fields are labelled with it. */
export type PoolRow = Pick<Pool, "id" | "name" | "stock"> & { key: number };

export const NEW_ITEM = { sku: "", name: "", price_minor: 1999, currency: "EUR", stock: 100 };
const COLUMNS = [
  ["sku", "SKU", "text"],
  ["name", "Name", "text"],
  ["price_minor", "Price, minor units", "number"],
  ["currency", "Currency", "text"],
] as const;
export const ROW = "grid grid-cols-2 items-end gap-3 md:grid-cols-6";

/** Return the rows with one more, which gets a key of its own. */
export const withRow = <Row extends { key: number }>(rows: Row[], row: Omit<Row, "key">): Row[] => [
  ...rows,
  { ...row, key: Math.max(-1, ...rows.map((each) => each.key)) + 1 } as Row,
];

/** Return the items that the fields of a form describe. */
export const itemsOf = (fields: FormData, rows: ItemRow[], pools: PoolRow[]) =>
  rows.map((row) => {
    const text = (name: string) => String(fields.get(`${name}-${row.key}`) ?? "");
    const uses = pools
      .map((pool) => ({ pool: pool.id, quantity: Number(text(`uses-${pool.key}`)) }))
      .filter((use) => use.quantity > 0);
    return {
      sku: text("sku"),
      name: text("name"),
      price_minor: Number(text("price_minor")),
      currency: text("currency"),
      stock: text("stock") === "" ? null : Number(text("stock")),
      ...(uses.length > 0 && { uses }),
    };
  });

/** The fields of one item, with what it draws from each pool. */
export function ItemRowFields({ row, pools }: { row: ItemRow; pools: PoolRow[] }) {
  return (
    <>
      {COLUMNS.map(([name, label, type]) => (
        <label key={name} className="label min-w-0">
          {label}
          <input className="field" name={`${name}-${row.key}`} type={type} min={0} defaultValue={row[name]} required />
        </label>
      ))}
      <label className="label min-w-0">
        {pools.length ? "Stock (optional)" : "Stock"}
        <input
          className="field"
          name={`stock-${row.key}`}
          type="number"
          min={0}
          defaultValue={row.stock ?? undefined}
          required={pools.length === 0}
        />
      </label>
      {pools.map((pool) => (
        <label key={pool.key} className="label min-w-0">
          <span>
            Units of <bdi className="foreign">{pool.id || "the pool"}</bdi>
          </span>
          <input className="field" name={`uses-${pool.key}-${row.key}`} type="number" min={0} placeholder="0" />
        </label>
      ))}
    </>
  );
}

/** The fields of a form's items, and the button for one more. */
export function ItemFields({
  rows,
  pools = [],
  busy,
  change,
}: {
  rows: ItemRow[];
  pools?: PoolRow[];
  busy: boolean;
  change: (rows: ItemRow[]) => void;
}) {
  return (
    <>
      {rows.map((row, number) => (
        <fieldset key={row.key} className={`${ROW} border-t border-line pt-3`}>
          <legend className="sr-only">Item {number + 1}</legend>
          <ItemRowFields row={row} pools={pools} />
          <button
            type="button"
            className="btn"
            disabled={busy || rows.length === 1}
            onClick={() => change(rows.filter((other) => other.key !== row.key))}
          >
            Remove
          </button>
        </fieldset>
      ))}
      <div>
        <button type="button" className="btn" disabled={busy} onClick={() => change(withRow(rows, NEW_ITEM))}>
          <Plus size={13} aria-hidden />
          Add item
        </button>
      </div>
    </>
  );
}

/** The fields of a form's pools, and the button for one more. */
export function PoolFields({
  rows,
  busy,
  change,
}: {
  rows: PoolRow[];
  busy: boolean;
  change: (rows: PoolRow[]) => void;
}) {
  const set = (key: number, part: Partial<PoolRow>) =>
    change(rows.map((row) => (row.key === key ? { ...row, ...part } : row)));
  return (
    <>
      {rows.map((row, number) => (
        <fieldset key={row.key} className={`${ROW} border-t border-line pt-3`}>
          <legend className="sr-only">Pool {number + 1}</legend>
          <label className="label min-w-0">
            Pool
            <input
              className="field"
              value={row.id}
              placeholder="hall"
              required
              onChange={(event) => set(row.key, { id: event.target.value })}
            />
          </label>
          <label className="label min-w-0">
            Name
            <input
              className="field"
              value={row.name}
              placeholder="The hall"
              required
              onChange={(event) => set(row.key, { name: event.target.value })}
            />
          </label>
          <label className="label min-w-0">
            Units
            <input
              className="field"
              type="number"
              min={0}
              value={row.stock}
              required
              onChange={(event) => set(row.key, { stock: Number(event.target.value) })}
            />
          </label>
          <button
            type="button"
            className="btn"
            disabled={busy}
            onClick={() => change(rows.filter((other) => other.key !== row.key))}
          >
            Remove
          </button>
        </fieldset>
      ))}
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <button
          type="button"
          className="btn"
          disabled={busy}
          onClick={() => change(withRow(rows, { id: "", name: "", stock: 100 }))}
        >
          <Plus size={13} aria-hidden />
          Add pool
        </button>
        <span className="text-xs text-soft">
          Units that several items draw from: the seats of a hall, the parts of a kit.
        </span>
      </div>
    </>
  );
}
