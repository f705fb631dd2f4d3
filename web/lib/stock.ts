import type { Sale, SaleEvents } from "./api/client";

/** Return the units of a sale: those of its pools, and of the items that draw from none. */
export const unitsIn = (sale: Sale, name: "stock" | "available" | "held" | "sold"): number =>
  [...sale.items.filter((item) => item.uses.length === 0), ...sale.pools].reduce(
    (sum, each) => sum + (each[name] ?? 0),
    0,
  );

/** Return the sale with the counts of a stock event. */
export const withStock = (sale: Sale, change: SaleEvents["stock"]): Sale => ({
  ...sale,
  items: sale.items.map((item) => {
    const changed = change.items.find((each) => each.sku === item.sku);
    return { ...item, ...changed, locations: changed?.locations ?? item.locations };
  }),
  pools: sale.pools.map((pool) => ({ ...pool, ...change.pools.find((changed) => changed.id === pool.id) })),
});
