import type { Sale } from "./api/client";

/** Return the units of a sale: those of its pools, and of the items that draw from none. */
export const unitsIn = (sale: Sale, name: "stock" | "available" | "held" | "sold"): number =>
  [...sale.items.filter((item) => item.uses.length === 0), ...sale.pools].reduce(
    (sum, each) => sum + (each[name] ?? 0),
    0,
  );
