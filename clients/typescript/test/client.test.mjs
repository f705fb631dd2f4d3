// Tests against the real service, over a connection that fails on demand.
// tests/integration/test_typescript_client.py runs them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, beforeEach, describe, test } from "node:test";
import { FlashGuard, NoAnswer, ProblemError } from "../dist/index.js";
import { solve } from "../dist/node.js";

const url = process.env.FLASHGUARD_URL;
const bearer = process.env.FLASHGUARD_KEY;
const quick = { firstWaitSeconds: 0.01, longestWaitSeconds: 0.05, mostSeconds: 20 };
const flashguard = new FlashGuard(url, { bearer, retry: quick });

async function nextRequestsMeet(...faults) {
  await fetch(`${url}/_faults`, { method: "POST", body: JSON.stringify(faults) });
}
const seen = async () => (await fetch(`${url}/_seen`)).json();

async function openSale(stock, more = {}) {
  const item = { sku: "unit", name: "Unit", price_minor: 1999, currency: "EUR", stock };
  const made = await flashguard.createSale({
    id: `ts-${randomUUID().slice(0, 12)}`,
    name: "A sale of a test",
    items: [item],
    ...more,
  });
  return (await flashguard.openSale(made.id)).id;
}

beforeEach(() => nextRequestsMeet());
after(() => nextRequestsMeet());

test("a buyer gets from a hold to an order", async () => {
  const sale = await openSale(3);
  const held = await flashguard.reserve(sale, "ada", { unit: 2 });
  assert.ok(held.granted);
  assert.equal(held.reservation.status, "held");
  assert.ok((await flashguard.extend(held.reservation.id)).granted);
  const confirmed = await flashguard.confirm(held.reservation.id, held.reservation.receipt);
  assert.ok(confirmed.granted);
  assert.equal((await flashguard.reservation(held.reservation.id)).status, "confirmed");
  const other = await flashguard.reserve(sale, "bob", { unit: 1 });
  assert.equal((await flashguard.release(other.reservation.id)).reservation.status, "released");
  const orders = [];
  for await (const order of flashguard.orders(sale)) orders.push(order.id);
  assert.deepEqual(orders, [held.reservation.id]);
  const [item] = (await flashguard.sale(sale)).items;
  assert.deepEqual([item.available, item.held, item.sold], [1, 0, 2]);
});

test("the feed of facts is read page by page, to its end or for ever", async () => {
  let cursor;
  for await (const page of flashguard.facts("now")) cursor = page.next_cursor;
  const sale = await openSale(3);
  assert.ok((await flashguard.buy(sale, "ada", { unit: 1 })).granted);
  const types = [];
  let pages = 0;
  for await (const page of flashguard.facts(cursor)) {
    types.push(...page.data.filter((fact) => fact.data.sale_id === sale).map((fact) => fact.type));
    pages += 1;
  }
  assert.deepEqual(types, ["sale.opened", "order.confirmed"]);
  assert.ok(pages >= 2);
  const following = flashguard.facts("now", { waitSeconds: 30 });
  await following.next();
  const next = following.next();
  const order = await flashguard.buy(sale, "bob", { unit: 1 });
  assert.ok((await next).value.data.some((fact) => fact.data.id === order.reservation.id));
  await following.return();
  await assert.rejects(flashguard.facts("no cursor").next(), { code: "invalid-request" });
});

test("what is held or bought is changed once", async () => {
  const sale = await openSale(9);
  const held = await flashguard.reserve(sale, "guest", { unit: 1 });
  await nextRequestsMeet("cut-after", "502");
  const amended = await flashguard.amend(held.reservation.id, { unit: 3 });
  assert.deepEqual(amended.reservation.items, [{ sku: "unit", quantity: 3 }]);
  assert.equal((await flashguard.transfer(held.reservation.id, "ada")).reservation.customer, "ada");
  const order = (await flashguard.confirm(held.reservation.id)).reservation;
  await nextRequestsMeet("cut-after", "cut-after");
  const part = (await flashguard.cancel(order.id, true, { items: { unit: 1 }, reason: "too small" })).reservation;
  assert.equal(part.status, "confirmed");
  assert.deepEqual(part.cancelled_items, [{ sku: "unit", quantity: 1 }]);
  await nextRequestsMeet();
  const short = await flashguard.amend(order.id, { unit: 10 }, { key: "mine", restock: false });
  assert.equal(short.granted, false);
  assert.equal(short.code, "sold-out");
  assert.equal((await seen())[0][2], "mine");
  assert.equal((await flashguard.cancel(order.id, false)).reservation.status, "cancelled");
});

test("each change keeps its key over all tries", async () => {
  const sale = await openSale(3);
  const held = await flashguard.reserve(sale, "ada", { unit: 1 });
  const changes = [
    () => flashguard.confirm(held.reservation.id),
    () => flashguard.buyerToken(sale, "ada"),
    () => flashguard.api.PATCH("/v1/sales/{sale}", { params: { path: { sale } }, body: { hold_seconds: 90 } }),
  ];
  for (const change of changes) {
    await nextRequestsMeet("cut-before", "502");
    await change();
    const keys = (await seen()).map(([, , key]) => key);
    assert.equal(keys.length, 3);
    assert.ok(keys[0]);
    assert.equal(new Set(keys).size, 1);
  }
  await nextRequestsMeet();
  await flashguard.buyerToken(sale, "ada", undefined, "mine");
  assert.equal((await seen())[0][2], "mine");
});

test("an id is one segment of a path, and an incomplete key or URL fails without a request", async () => {
  const paths = [];
  const stub = new FlashGuard("http://127.0.0.1:1", {
    bearer: "x",
    fetch: async (request) => {
      paths.push(new URL(request.url).pathname);
      return Response.json({ code: "unknown-sale", detail: "no" }, { status: 404 });
    },
  });
  await assert.rejects(stub.sale("../a/b?c#d"), ProblemError);
  assert.deepEqual(paths, ["/v1/sales/..%2Fa%2Fb%3Fc%23d"]);
  for (const id of ["", ".", ".."]) await assert.rejects(stub.sale(id), /cannot be an id/);
  await assert.rejects(new FlashGuard(url, { bearer: "fg_live_…AbCd" }).sale("any"), /Copy the whole key/);
  assert.throws(() => new FlashGuard("127.0.0.1:8000"), /as in http/);
});

test("many requests in one call have their own outcomes", async () => {
  const sale = await openSale(3);
  const wanted = [
    { customer: "ada", items: { unit: 2 }, key: `k-${sale}` },
    { customer: "bob", items: { unit: 2 } },
    { customer: "cid", items: { unit: 0 } },
  ];
  const [held, short, wrong] = await flashguard.reserveMany(sale, wanted);
  assert.deepEqual([held.granted, held.replayed, held.reservation.customer], [true, false, "ada"]);
  assert.deepEqual([short.granted, short.code, short.problem.available], [false, "sold-out", 1]);
  assert.equal(wrong.code, "invalid-request");
  const [again] = await flashguard.reserveMany(sale, wanted.slice(0, 1));
  assert.equal(again.replayed, true);
  await nextRequestsMeet("cut-after");
  const [bought] = await flashguard.buyMany(sale, [{ customer: "eve", items: { unit: 1 } }]);
  assert.equal(bought.reservation.status, "confirmed");
  await assert.rejects(flashguard.buyMany(sale, []), { code: "invalid-request" });
});

test("a refusal that a buyer can cause is a value", async () => {
  const sale = await openSale(1);
  const refused = await flashguard.buy(sale, "ada", { unit: 2 });
  assert.deepEqual([refused.granted, refused.code, refused.problem.available], [false, "sold-out", 1]);
  assert.equal((await flashguard.buy("no-such-sale", "ada", { unit: 1 })).code, "unknown-sale");
});

test("a problem that the caller must solve is thrown at the first try", async () => {
  const sale = await openSale(1);
  await nextRequestsMeet();
  await assert.rejects(flashguard.buy(sale, "ada", { unit: 0 }), (error) => {
    assert.ok(error instanceof ProblemError);
    assert.deepEqual([error.status, error.code], [422, "invalid-request"]);
    assert.ok(error.requestId);
    return true;
  });
  assert.equal((await seen()).length, 1);
  const rejected = new FlashGuard(url, { bearer: "fg_live_wrong", retry: quick });
  await assert.rejects(rejected.openSale(sale), { code: "unauthenticated" });
});

describe("a buy takes effect once, whatever fails on the connection", () => {
  for (const fault of ["503-now", "502", "429-now", "409-now", "cut-before", "cut-after"]) {
    test(fault, async () => {
      const sale = await openSale(5);
      await nextRequestsMeet(fault, fault);
      const outcome = await flashguard.buy(sale, "ada", { unit: 1 });
      assert.ok(outcome.granted);
      assert.equal(outcome.replayed, fault === "cut-after");
      const requests = await seen();
      assert.equal(requests.length, 3);
      assert.equal(new Set(requests.map(([, , key]) => key)).size, 1);
      assert.ok(requests[0][2]);
      const [item] = (await flashguard.sale(sale)).items;
      assert.deepEqual([item.available, item.sold], [4, 1]);
    });
  }
});

test("a shop adds units, and says what it counted", async () => {
  const sale = await openSale(5);
  assert.equal((await flashguard.restock(sale, "unit", { delta: 2 }, "found")).stock, 7);
  assert.equal((await flashguard.restock(sale, "unit", { stock: 4 }, "counted")).stock, 4);
});

test("a shop adds, changes and removes items of an open sale", async () => {
  const sale = await openSale(5);
  const cap = { sku: "cap", name: "Cap", price_minor: 500, currency: "EUR", stock: 3 };
  assert.equal((await flashguard.addItem(sale, cap)).available, 3);
  assert.equal((await flashguard.changeItem(sale, "cap", { price_minor: 700 })).price_minor, 700);
  const outcome = await flashguard.buy(sale, "ada", { cap: 1 });
  assert.ok(outcome.granted);
  assert.equal(outcome.reservation.items[0].price_minor, 700);
  await assert.rejects(flashguard.removeItem(sale, "cap"), { code: "item-in-use" });
  await flashguard.removeItem(sale, "unit");
  assert.deepEqual(
    (await flashguard.sale(sale)).items.map(({ sku }) => sku),
    ["cap"],
  );
});

test("a shop edits and deletes a draft", async () => {
  const item = { sku: "unit", name: "Unit", price_minor: 100, currency: "EUR", stock: 2 };
  const { id } = await flashguard.createSale({ name: "A draft", items: [item] });
  const edited = await flashguard.changeSale(id, { name: "Edited", items: [{ ...item, sku: "cap" }] });
  assert.deepEqual([edited.name, edited.items[0].sku], ["Edited", "cap"]);
  await flashguard.deleteSale(id);
  await flashguard.deleteSale(id);
  await assert.rejects(flashguard.sale(id), { code: "unknown-sale" });
  await assert.rejects(flashguard.deleteSale(await openSale(1)), { code: "sale-not-draft" });
});

test("a hold whose id was lost is found, and an order is read", async () => {
  const sale = await openSale(2);
  const first = await flashguard.reserve(sale, "ada", { unit: 1 });
  const second = await flashguard.reserve(sale, "ada", { unit: 1 });
  assert.equal((await flashguard.reserve(sale, "ada", { unit: 1 })).code, "sold-out");
  const held = await flashguard.held(sale, "ada");
  assert.deepEqual(
    held.map(({ id }) => id),
    [second.reservation.id, first.reservation.id],
  );
  await assert.rejects(flashguard.order(held[0].id), { code: "reservation-held" });
  await flashguard.confirm(held[0].id);
  assert.equal((await flashguard.order(held[0].id)).status, "confirmed");
  assert.equal((await flashguard.held(sale, "ada")).length, 1);
});

test("an order is found by its reference", async () => {
  const sale = await openSale(2);
  const attached = { reference: "cart 7", metadata: { channel: "app" } };
  const bought = await flashguard.buy(sale, "ada", { unit: 1 }, attached);
  await flashguard.buy(sale, "bob", { unit: 1 });
  const found = [];
  for await (const order of flashguard.orders(sale, { reference: "cart 7" })) found.push(order);
  assert.deepEqual(
    found.map(({ id, reference, metadata }) => ({ id, reference, metadata })),
    [{ id: bought.reservation.id, ...attached }],
  );
});

test("each request gets a key of its own, and a given key is kept", async () => {
  const sale = await openSale(5);
  await nextRequestsMeet();
  await flashguard.buy(sale, "ada", { unit: 1 });
  await flashguard.buy(sale, "ada", { unit: 1 });
  const first = await flashguard.buy(sale, "ada", { unit: 1 }, { key: "mine" });
  const again = await flashguard.buy(sale, "ada", { unit: 1 }, { key: "mine" });
  const keys = (await seen()).map(([, , key]) => key);
  assert.equal(new Set(keys).size, 3);
  assert.deepEqual(keys.slice(2), ["mine", "mine"]);
  assert.deepEqual([again.replayed, again.reservation.id], [true, first.reservation.id]);
});

test("the client waits as long as Retry-After says, or fails without waiting if that is too long", async () => {
  const sale = await openSale(1);
  await nextRequestsMeet("503-later");
  await assert.rejects(
    flashguard.buy(sale, "ada", { unit: 1 }),
    (error) => error instanceof NoAnswer && Boolean(error.key),
  );
  assert.equal((await seen()).length, 1);
  await nextRequestsMeet("429-later");
  await assert.rejects(flashguard.buy(sale, "ada", { unit: 1 }), { code: "rate-limited" });
});

test("the number of tries is limited", async () => {
  const sale = await openSale(1);
  const hasty = new FlashGuard(url, { bearer, retry: { ...quick, mostTries: 4 } });
  await nextRequestsMeet(...Array(50).fill("cut-before"));
  await assert.rejects(hasty.buy(sale, "ada", { unit: 1 }), NoAnswer);
  assert.equal((await seen()).length, 4);
});

test("a buyer's token buys only for its customer", async () => {
  const sale = await openSale(2);
  const { token } = await flashguard.buyerToken(sale, "ada");
  const browser = new FlashGuard(url, { bearer: token, retry: quick });
  assert.ok((await browser.buy(sale, "ada", { unit: 1 })).granted);
  await assert.rejects(browser.buy(sale, "bob", { unit: 1 }), { code: "forbidden" });
});

test("a rejected bearer is renewed once", async () => {
  const sale = await openSale(1);
  const given = ["fg_live_old", bearer];
  const renewing = new FlashGuard(url, { bearer: async () => given.shift(), retry: quick });
  assert.ok((await renewing.buy(sale, "ada", { unit: 1 })).granted);
  const old = ["fg_live_old", "fg_live_older"];
  const rejected = new FlashGuard(url, { bearer: () => old.shift(), retry: quick });
  await assert.rejects(rejected.buy(sale, "ada", { unit: 1 }), { code: "unauthenticated" });
});

test("a ticket of a room that demands a proof of work is taken with one", async () => {
  const sale = await openSale(2, { waiting_room: { mode: "fifo", proof_of_work: true, proof_tries: 9 } });
  await assert.rejects(flashguard.ticket(sale, "ada"), { code: "proof-required" });
  const taken = await flashguard.ticket(sale, "ada", { solve });
  assert.equal((await flashguard.ticket(sale, "ada", { ticket: taken.ticket })).id, taken.id);
  const { status, admission } = await flashguard.place(sale, taken.id);
  assert.equal(status, "admitted");
  assert.ok((await flashguard.buy(sale, "ada", { unit: 1 }, { admission })).granted);
});
