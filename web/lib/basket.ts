import type { Item, Pool, Sale } from "./api/client";

/** The units that a buyer chose, by sku. A map, because a sku may be any text. */
export type Basket = ReadonlyMap<string, number>;
export type Line = { sku: string; quantity: number };
/** The most units of an item that fit, and what bounds them: a pool, its own stock, a limit, or that it is off sale. */
export type Bound = { most: number; by: Pool | "stock" | "limit" | "off" };

export const EMPTY: Basket = new Map();

export const basketOf = (lines: readonly Line[]): Basket => new Map(lines.map((line) => [line.sku, line.quantity]));

/** Return the basket with another quantity of an item. 0 takes the item out. */
export function withQuantity(basket: Basket, sku: string, quantity: number): Basket {
  const changed = new Map(basket);
  if (quantity > 0) changed.set(sku, quantity);
  else changed.delete(sku);
  return changed;
}

/** Return the basket's lines, in the order of the sale's items: the same choice is always the same request. */
export const linesOf = (sale: Sale, basket: Basket): Line[] =>
  sale.items.flatMap(({ sku }) => (basket.has(sku) ? [{ sku, quantity: basket.get(sku)! }] : []));

export const isSame = (one: Basket, other: Basket): boolean =>
  one.size === other.size && [...one].every(([sku, quantity]) => other.get(sku) === quantity);

export const unitsOf = (basket: Basket): number => [...basket.values()].reduce((sum, quantity) => sum + quantity, 0);

/** Return the units of a pool that a basket draws. */
const drawnFrom = (sale: Sale, pool: string, basket: Basket): number =>
  sale.items.reduce((sum, item) => {
    const use = item.uses.find((each) => each.pool === pool);
    return sum + (use ? use.quantity * (basket.get(item.sku) ?? 0) : 0);
  }, 0);

/** Return the pool that allows the fewest units of an item, or null for an item that draws from none. */
export function shortPool(sale: Sale, item: Item): Pool | null {
  const bounds = item.uses.flatMap((use) => {
    const pool = sale.pools.find((each) => each.id === use.pool);
    return pool ? [{ pool, most: Math.floor(pool.available / use.quantity) }] : [];
  });
  return bounds.sort((one, other) => one.most - other.most)[0]?.pool ?? null;
}

/**
 * Return how many units of an item the basket can have beside its other lines. The units of the buyer's own hold count
 * as available to it. This guides the buyer; the service decides.
 */
export function boundOf(sale: Sale, item: Item, basket: Basket, own: Basket = EMPTY): Bound {
  if (!item.on_sale) return { most: own.get(item.sku) ?? 0, by: "off" };
  const others = withQuantity(basket, item.sku, 0);
  const stocked = item.uses.length === 0 ? item.available : item.stock === null ? null : freeOf(item);
  const bounds: Bound[] = item.uses.flatMap((use) => {
    const pool = sale.pools.find((each) => each.id === use.pool);
    if (!pool) return [];
    const free = pool.available + drawnFrom(sale, pool.id, own) - drawnFrom(sale, pool.id, others);
    return [{ most: Math.floor(free / use.quantity), by: pool }];
  });
  if (stocked !== null) bounds.push({ most: stocked + (own.get(item.sku) ?? 0), by: "stock" });
  if (sale.limit_per_customer !== null) bounds.push({ most: sale.limit_per_customer - unitsOf(others), by: "limit" });
  const least = bounds.reduce((one, other) => (other.most < one.most ? other : one));
  return { ...least, most: Math.max(0, least.most) };
}

const freeOf = (item: Item): number => (item.stock ?? 0) - item.held - item.sold;

/** Return whether any of an item can be had now. */
export const isLeft = (item: Item): boolean => item.on_sale && item.available > 0;

/** Return the first item of which the basket has more than fit, or null if all of it can be had. */
export function shortageOf(sale: Sale, basket: Basket, own: Basket = EMPTY): { item: Item; bound: Bound } | null {
  for (const item of sale.items) {
    if (!basket.has(item.sku)) continue;
    const bound = boundOf(sale, item, basket, own);
    if (basket.get(item.sku)! > bound.most) return { item, bound };
  }
  return null;
}

/**
 * Return what the basket costs, in minor units: one amount per currency. The lines of a reservation keep the prices at
 * which they were held.
 */
export function totalsOf(
  sale: Sale,
  basket: Basket,
  lines: readonly { sku: string; price_minor?: number | null }[] = [],
): [currency: string, minor: number][] {
  const sums = new Map<string, number>();
  for (const item of sale.items) {
    const price = lines.find((line) => line.sku === item.sku)?.price_minor ?? item.price_minor;
    const cost = price * (basket.get(item.sku) ?? 0);
    if (basket.has(item.sku)) sums.set(item.currency, (sums.get(item.currency) ?? 0) + cost);
  }
  return [...sums];
}
