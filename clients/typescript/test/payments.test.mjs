// Tests of payments, against the real service with a provider that stands in, over a connection that fails on demand.
// tests/integration/test_payments_clients.py runs them.
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { FlashGuard, ProblemError } from "../dist/index.js";

const url = process.env.FLASHGUARD_URL;
const bearer = process.env.FLASHGUARD_KEY;
const skip = process.env.FLASHGUARD_PAYMENTS ? false : "the service takes no payments";
const quick = { firstWaitSeconds: 0.01, longestWaitSeconds: 0.05, mostSeconds: 20 };
const flashguard = new FlashGuard(url, { bearer, retry: quick });

const nextRequestsMeet = (...faults) => fetch(`${url}/_faults`, { method: "POST", body: JSON.stringify(faults) });

async function openSale(more = {}) {
  const item = { sku: "unit", name: "Unit", price_minor: 1999, currency: "EUR", stock: 9 };
  const made = await flashguard.createSale({
    id: `ts-${randomUUID().slice(0, 12)}`,
    name: "Paid",
    items: [item],
    ...more,
  });
  return (await flashguard.openSale(made.id)).id;
}

async function hold(sale, customer = "ada") {
  return (await flashguard.reserve(sale, customer, { unit: 1 })).reservation.id;
}

async function until(id, ...refunds) {
  for (let tries = 0; tries < 300; tries += 1) {
    const payment = await flashguard.payments.get(id);
    if (JSON.stringify(payment.refunds.map(({ status }) => status)) === JSON.stringify(refunds)) return payment;
    await new Promise((done) => setTimeout(done, 100));
  }
  assert.fail(`the refunds of ${id} are not ${refunds}`);
}

test("a hold is paid and becomes an order, over a line that fails", { skip }, async () => {
  const sale = await openSale();
  const held = await hold(sale);
  await nextRequestsMeet("cut-after", "502");
  assert.deepEqual(await flashguard.payments.providers(), ["signed"]);
  await nextRequestsMeet("cut-after", "502", "503-now");
  const begun = await flashguard.payments.begin(held, "signed", { successUrl: "https://shop.example/thanks" });
  assert.ok(begun.granted);
  const { payment } = begun;
  assert.deepEqual([payment.status, payment.amount_minor, payment.currency], ["open", 1999, "EUR"]);
  assert.deepEqual(await flashguard.payments.begin(held, "signed"), begun);
  assert.equal((await fetch(payment.url, { method: "POST" })).status, 200);
  assert.deepEqual(
    (await flashguard.payments.ofReservation(held)).map(({ id, status, paid_minor }) => [id, status, paid_minor]),
    [[payment.id, "order", 1999]],
  );
  const orders = [];
  for await (const order of flashguard.orders(sale)) orders.push([order.id, order.payment.id, order.payment.status]);
  assert.deepEqual(orders, [[held, payment.id, "order"]]);
  const other = await hold(sale, "bob");
  const { id } = (await flashguard.payments.begin(other, "signed")).payment;
  const listed = async (which) => {
    const found = [];
    for await (const each of flashguard.payments.list(which)) found.push(each.id);
    return found;
  };
  assert.deepEqual(await listed({ sale }), [id, payment.id]);
  assert.deepEqual(await listed({ sale, status: "order" }), [payment.id]);
  assert.deepEqual(await listed({ reservation: other }), [id]);
  assert.deepEqual(await listed({ sale, refund: "failed" }), []);
});

test("a refund that failed is asked for again, and made once", { skip }, async () => {
  const held = await hold(await openSale());
  const { payment } = await flashguard.payments.begin(held, "signed");
  await fetch(payment.url, { method: "POST" });
  await fetch(`${new URL(payment.url).origin}/plan/refunds/failed`, { method: "POST" });
  await flashguard.cancel(held, true);
  await until(payment.id, "failed");
  await nextRequestsMeet("cut-after", "502");
  const retried = await flashguard.payments.retryRefunds(payment.id);
  assert.equal(retried.refunds[0].retried_as, `${payment.id}-2`);
  await until(payment.id, "failed", "done");
});

test("what a buyer can cause is a value, and the rest is thrown", { skip }, async () => {
  const sale = await openSale();
  const held = await hold(sale);
  await flashguard.release(held);
  const over = await flashguard.payments.begin(held, "signed");
  assert.deepEqual([over.granted, over.code], [false, "reservation-released"]);
  const unknown = await flashguard.payments.begin(await hold(sale), "paypal");
  assert.equal(unknown.code, "unknown-provider");
  await assert.rejects(flashguard.payments.get("pay_none"), { code: "unknown-payment" });
  await assert.rejects(
    flashguard.payments.begin(await hold(sale), "signed", { successUrl: "no address" }),
    ProblemError,
  );
  await assert.rejects(flashguard.payments.get(""), /cannot be an id/);
});
