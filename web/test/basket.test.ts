import { expect, test } from "vitest";
import type { Sale } from "@/lib/api/client";
import {
  basketOf,
  boundOf,
  isLeft,
  isSame,
  linesOf,
  shortageOf,
  shortPool,
  totalsOf,
  withQuantity,
} from "@/lib/basket";

const pool = (id: string, available: number) => ({
  id,
  name: id,
  stock: 100,
  available,
  held: 0,
  sold: 100 - available,
});
const item = (sku: string, price_minor: number, uses: [string, number][], own: object = {}) => ({
  sku,
  name: sku,
  price_minor,
  currency: "EUR",
  stock: null,
  held: 0,
  sold: 0,
  available: 0,
  on_sale: true,
  uses: uses.map(([pool, quantity]) => ({ pool, quantity })),
  ...own,
});
const festival = (limit: number | null = null) =>
  ({
    id: "festival",
    limit_per_customer: limit,
    pools: [pool("friday", 7), pool("saturday", 2)],
    items: [
      item("day", 4900, [["friday", 1]]),
      item("pass", 8900, [
        ["friday", 1],
        ["saturday", 1],
      ]),
      item("box", 15900, [["friday", 4]], { stock: 10, sold: 8, held: 1 }),
      item("shirt", 2500, [], { stock: 5, available: 3, currency: "USD" }),
    ],
  }) as unknown as Sale;
const sale = festival();
const named = (sku: string) => sale.items.find((each) => each.sku === sku)!;
const most = (sku: string, lines: object = {}, own: object = {}, of = sale) =>
  boundOf(of, named(sku), new Map(Object.entries(lines)), new Map(Object.entries(own)));

test("an item is bounded by the shortest of its pools and its own stock", () => {
  expect(most("day")).toMatchObject({ most: 7, by: { id: "friday" } });
  expect(most("pass")).toMatchObject({ most: 2, by: { id: "saturday" } });
  expect(most("box")).toMatchObject({ most: 1 });
  expect(most("shirt")).toEqual({ most: 3, by: "stock" });
  expect(shortPool(sale, named("pass"))?.id).toBe("saturday");
  expect(shortPool(sale, named("shirt"))).toBeNull();
});
test("the other lines of a basket draw from the same pools", () => {
  expect(most("day", { box: 1, pass: 1 })).toMatchObject({ most: 2, by: { id: "friday" } });
  expect(most("pass", { day: 7 })).toMatchObject({ most: 0, by: { id: "friday" } });
  expect(most("pass", { pass: 2 }), "its own line counts once").toMatchObject({ most: 2 });
});
test("the units of the buyer's own hold count as available to it", () => {
  expect(most("pass", {}, { pass: 2 })).toMatchObject({ most: 4, by: { id: "saturday" } });
  expect(most("day", { pass: 1 }, { box: 1 })).toMatchObject({ most: 10, by: { id: "friday" } });
  expect(most("shirt", {}, { shirt: 2 })).toEqual({ most: 5, by: "stock" });
});
test("a limit counts the units of all lines", () => {
  expect(most("day", { shirt: 1 }, {}, festival(4))).toEqual({ most: 3, by: "limit" });
  expect(most("day", { shirt: 9 }, {}, festival(4)).most).toBe(0);
});
test("a basket that does not fit names its first short item", () => {
  expect(shortageOf(sale, basketOf([{ sku: "day", quantity: 7 }]))).toBeNull();
  const short = shortageOf(
    sale,
    basketOf([
      { sku: "shirt", quantity: 1 },
      { sku: "pass", quantity: 3 },
    ]),
  );
  expect([short?.item.sku, short?.bound.most]).toEqual(["pass", 2]);
});
test("a basket has its lines in the sale's order, whatever was chosen first", () => {
  const basket = basketOf([
    { sku: "shirt", quantity: 2 },
    { sku: "gone", quantity: 1 },
    { sku: "day", quantity: 1 },
  ]);
  const lines = [
    { sku: "day", quantity: 1 },
    { sku: "shirt", quantity: 2 },
  ];
  expect(linesOf(sale, basket)).toEqual(lines);
  expect(isSame(basketOf(lines), basketOf(lines.toReversed()))).toBe(true);
  expect(isSame(basketOf(lines), basket)).toBe(false);
  expect(linesOf(sale, withQuantity(basketOf(lines), "day", 0))).toEqual([lines[1]]);
});
test("a basket costs an amount in each currency", () => {
  expect(
    totalsOf(
      sale,
      basketOf([
        { sku: "pass", quantity: 2 },
        { sku: "day", quantity: 1 },
        { sku: "shirt", quantity: 1 },
      ]),
    ),
  ).toEqual([
    ["EUR", 22700],
    ["USD", 2500],
  ]);
  expect(totalsOf(sale, basketOf([]))).toEqual([]);
});
test("a sku may be any text", () => {
  const odd = { ...sale, items: [{ ...named("shirt"), sku: "__proto__" }] };
  expect(linesOf(odd, withQuantity(new Map(), "__proto__", 2))).toEqual([{ sku: "__proto__", quantity: 2 }]);
});
test("an item that is off sale keeps what the buyer holds, and no more", () => {
  const off = { ...sale, items: sale.items.map((item) => ({ ...item, on_sale: item.sku !== "shirt" })) };
  const shirt = off.items.find((item) => item.sku === "shirt")!;
  expect(isLeft(shirt)).toBe(false);
  expect(boundOf(off, shirt, basketOf([]), basketOf([{ sku: "shirt", quantity: 2 }]))).toEqual({ most: 2, by: "off" });
});
test("a reservation's lines keep the prices at which they were held", () => {
  const held = [{ sku: "day", quantity: 2, price_minor: 4000 }];
  expect(totalsOf(sale, basketOf(held), held)).toEqual([["EUR", 8000]]);
});
