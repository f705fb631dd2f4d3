import { basketOf, unitsOf, type Basket, type Line } from "./basket";

/** What turns an order's items into others: a cancellation of all or of some, or an amendment. */
export type OrderChange =
  { kind: "cancel"; items: Line[] | "all"; units: number } | { kind: "amend"; items: Line[] } | null;

/** Return the change that leaves an order with the wanted items; null: it has them. */
export function changeOf(items: readonly Line[], wanted: Basket): OrderChange {
  const had = basketOf(items);
  const more = [...wanted].some(([sku, quantity]) => quantity > (had.get(sku) ?? 0));
  if (more) return { kind: "amend", items: [...wanted].map(([sku, quantity]) => ({ sku, quantity })) };
  const fewer = items
    .map(({ sku, quantity }) => ({ sku, quantity: quantity - (wanted.get(sku) ?? 0) }))
    .filter(({ quantity }) => quantity > 0);
  if (!fewer.length) return null;
  return { kind: "cancel", items: wanted.size ? fewer : "all", units: unitsOf(basketOf(fewer)) };
}

/** Return the change that gives a hold the wanted items; null: it has them, or none is wanted (release it for that). */
export function holdChangeOf(items: readonly Line[], wanted: Basket): OrderChange {
  if (!wanted.size || changeOf(items, wanted) === null) return null;
  return { kind: "amend", items: [...wanted].map(([sku, quantity]) => ({ sku, quantity })) };
}
