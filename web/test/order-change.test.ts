import { expect, test } from "vitest";
import { basketOf } from "@/lib/basket";
import { changeOf } from "@/lib/order-change";
import { unitsIn } from "@/lib/stock";
import type { Sale } from "@/lib/api/client";

const line = (sku: string, quantity: number) => ({ sku, quantity });
const had = [line("a", 3), line("b", 1)];

test("the same items are no change", () => {
  expect(changeOf(had, basketOf(had.toReversed()))).toBeNull();
});
test("fewer units are a cancellation of the rest", () => {
  expect(changeOf(had, basketOf([line("a", 1), line("b", 1)]))).toEqual({
    kind: "cancel",
    items: [line("a", 2)],
    units: 2,
  });
  expect(changeOf(had, basketOf([line("b", 1)]))).toEqual({ kind: "cancel", items: [line("a", 3)], units: 3 });
  expect(changeOf(had, new Map())).toEqual({ kind: "cancel", items: "all", units: 4 });
});
test("more units, or another item, are an amendment to the whole basket", () => {
  expect(changeOf(had, basketOf([line("a", 4), line("b", 1)]))).toEqual({
    kind: "amend",
    items: [line("a", 4), line("b", 1)],
  });
  expect(changeOf(had, basketOf([line("a", 1), line("c", 2)]))).toEqual({
    kind: "amend",
    items: [line("a", 1), line("c", 2)],
  });
});
test("a sale's units are those of its pools and of the items without one", () => {
  const counts = (stock: number | null, sold: number, uses: object[] = []) => ({ stock, sold, uses });
  const sale = { items: [counts(10, 2), counts(null, 5, [{}]), counts(4, 1, [{}])], pools: [counts(50, 9)] };
  expect(unitsIn(sale as unknown as Sale, "stock")).toBe(60);
  expect(unitsIn(sale as unknown as Sale, "sold")).toBe(11);
});
