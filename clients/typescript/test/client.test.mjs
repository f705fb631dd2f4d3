// Tests against the real service, over a connection that fails on demand.
// tests/integration/test_typescript_client.py runs them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { after, beforeEach, describe, test } from "node:test";
import { FlashGuard, NoAnswer, ProblemError } from "../dist/index.js";

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
