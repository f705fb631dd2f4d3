"use client";

import { Plus } from "lucide-react";
import type { Item, Pool, Sale } from "@/lib/api/client";
import { numberOf, textOf } from "./field";
import { useTexts } from "./texts";

/** An item in a form, before it is sent. Its `key` names its fields. */
export type ItemRow = Pick<Item, "sku" | "name" | "price_minor" | "currency" | "stock" | "limit_per_customer"> & {
  key: number;
};
/** A pool in a form. Its id is a state of the form, because the items' fields are labelled with it. */
export type PoolRow = Pick<Pool, "id" | "name" | "stock"> & { key: number };
/** A location in a form. */
export type PlaceRow = Sale["locations"][number] & { key: number };

export const NEW_ITEM = {
  sku: "",
  name: "",
  price_minor: 1999,
  currency: "EUR",
  stock: 100,
  limit_per_customer: null,
};
const COLUMNS = [
  ["sku", "text"],
  ["name", "text"],
  ["price_minor", "number"],
  ["currency", "text"],
] as const;
export const ROW = "grid grid-cols-2 items-end gap-3 md:grid-cols-6";

/** Return the rows with one more, which gets a key of its own. */
export const withRow = <Row extends { key: number }>(rows: Row[], row: Omit<Row, "key">): Row[] => [
  ...rows,
  { ...row, key: Math.max(-1, ...rows.map((each) => each.key)) + 1 } as Row,
];

/** Return the items that the fields of a form describe. */
export const itemsOf = (fields: FormData, rows: ItemRow[], pools: PoolRow[], places: PlaceRow[] = []) =>
  rows.map(({ key }) => {
    const uses = pools
      .map((pool) => ({ pool: pool.id, quantity: numberOf(fields, `uses-${pool.key}-${key}`) ?? 0 }))
      .filter((use) => use.quantity > 0);
    const at = places.flatMap((place) => {
      const units = numberOf(fields, `at-${place.key}-${key}`);
      return units === null ? [] : [[place.id, units] as const];
    });
    return {
      sku: textOf(fields, `sku-${key}`),
      name: textOf(fields, `name-${key}`),
      price_minor: Number(textOf(fields, `price_minor-${key}`)),
      currency: textOf(fields, `currency-${key}`),
      stock: numberOf(fields, `stock-${key}`),
      limit_per_customer: numberOf(fields, `limit-${key}`),
      ...(uses.length > 0 && { uses }),
      ...(at.length > 0 && { stock_by_location: Object.fromEntries(at) }),
    };
  });

/** The fields of one item, with what it draws from each pool, and its units at each location. */
export function ItemRowFields({ row, pools, places = [] }: { row: ItemRow; pools: PoolRow[]; places?: PlaceRow[] }) {
  const t = useTexts().items;
  const alone = pools.length === 0 && places.length === 0;
  return (
    <>
      {COLUMNS.map(([name, type]) => (
        <label key={name} className="label min-w-0">
          {t[name]}
          <input className="field" name={`${name}-${row.key}`} type={type} min={0} defaultValue={row[name]} required />
        </label>
      ))}
      <label className="label min-w-0">
        {alone ? t.stock : t.stockOptional}
        <input
          className="field"
          name={`stock-${row.key}`}
          type="number"
          min={0}
          defaultValue={row.stock ?? undefined}
          required={alone}
        />
      </label>
      <label className="label min-w-0">
        {t.most}
        <input
          className="field"
          name={`limit-${row.key}`}
          type="number"
          min={1}
          defaultValue={row.limit_per_customer ?? undefined}
        />
      </label>
      {pools.map((pool) => (
        <label key={pool.key} className="label min-w-0">
          <span>{t.unitsOf(<bdi className="foreign">{pool.id || t.thePool}</bdi>)}</span>
          <input className="field" name={`uses-${pool.key}-${row.key}`} type="number" min={0} placeholder="0" />
        </label>
      ))}
      {places.map((place) => (
        <label key={place.key} className="label min-w-0">
          <span>{t.stockAt(<bdi className="foreign">{place.id || t.thePlace}</bdi>)}</span>
          <input className="field" name={`at-${place.key}-${row.key}`} type="number" min={0} />
        </label>
      ))}
    </>
  );
}

/** The fields of a form's items, and the button for one more. */
export function ItemFields({
  rows,
  pools = [],
  places = [],
  busy,
  change,
}: {
  rows: ItemRow[];
  pools?: PoolRow[];
  places?: PlaceRow[];
  busy: boolean;
  change: (rows: ItemRow[]) => void;
}) {
  const t = useTexts().items;
  return (
    <>
      {rows.map((row, number) => (
        <fieldset key={row.key} className={`${ROW} border-t border-line pt-3`}>
          <legend className="sr-only">{t.itemNumber(number + 1)}</legend>
          <ItemRowFields row={row} pools={pools} places={places} />
          <button
            type="button"
            className="btn"
            disabled={busy || rows.length === 1}
            onClick={() => change(rows.filter((other) => other.key !== row.key))}
          >
            {t.remove}
          </button>
        </fieldset>
      ))}
      <div>
        <button type="button" className="btn" disabled={busy} onClick={() => change(withRow(rows, NEW_ITEM))}>
          <Plus size={13} aria-hidden />
          {t.addItem}
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
  const t = useTexts().items;
  const set = (key: number, part: Partial<PoolRow>) =>
    change(rows.map((row) => (row.key === key ? { ...row, ...part } : row)));
  return (
    <>
      {rows.map((row, number) => (
        <fieldset key={row.key} className={`${ROW} border-t border-line pt-3`}>
          <legend className="sr-only">{t.poolNumber(number + 1)}</legend>
          <Named row={row} id={t.pool} examples={["hall", t.hall]} set={(part) => set(row.key, part)} />
          <label className="label min-w-0">
            {t.units}
            <input
              className="field"
              type="number"
              min={0}
              value={Number.isNaN(row.stock) ? "" : row.stock}
              required
              onChange={(event) => set(row.key, { stock: event.target.valueAsNumber })}
            />
          </label>
          <button
            type="button"
            className="btn"
            disabled={busy}
            onClick={() => change(rows.filter((other) => other.key !== row.key))}
          >
            {t.remove}
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
          {t.addPool}
        </button>
        <span className="text-xs text-soft">{t.poolWhat}</span>
      </div>
    </>
  );
}

/** The fields of a form's locations, and the button for one more. */
export function PlaceFields({
  rows,
  busy,
  change,
}: {
  rows: PlaceRow[];
  busy: boolean;
  change: (rows: PlaceRow[]) => void;
}) {
  const t = useTexts().items;
  return (
    <>
      {rows.map((row, number) => (
        <fieldset key={row.key} className={`${ROW} border-t border-line pt-3`}>
          <legend className="sr-only">{t.placeNumber(number + 1)}</legend>
          <Named
            row={row}
            id={t.place}
            examples={["berlin", t.warehouse]}
            set={(part) => change(rows.map((each) => (each.key === row.key ? { ...each, ...part } : each)))}
          />
          <button
            type="button"
            className="btn"
            disabled={busy}
            onClick={() => change(rows.filter((other) => other.key !== row.key))}
          >
            {t.remove}
          </button>
        </fieldset>
      ))}
      <div className="flex flex-wrap items-center gap-x-3 gap-y-1">
        <button
          type="button"
          className="btn"
          disabled={busy}
          onClick={() => change(withRow(rows, { id: "", name: "" }))}
        >
          <Plus size={13} aria-hidden />
          {t.addPlace}
        </button>
        <span className="text-xs text-soft">{t.placeWhat}</span>
      </div>
    </>
  );
}

/** The id and the name of a row. */
function Named({
  row,
  id,
  examples,
  set,
}: {
  row: { id: string; name: string };
  id: string;
  examples: [id: string, name: string];
  set: (part: { id: string } | { name: string }) => void;
}) {
  const t = useTexts().items;
  return (
    <>
      <label className="label min-w-0">
        {id}
        <input
          className="field"
          value={row.id}
          placeholder={examples[0]}
          required
          onChange={(event) => set({ id: event.target.value })}
        />
      </label>
      <label className="label min-w-0">
        {t.name}
        <input
          className="field"
          value={row.name}
          placeholder={examples[1]}
          required
          onChange={(event) => set({ name: event.target.value })}
        />
      </label>
    </>
  );
}
