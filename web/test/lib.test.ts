import { beforeEach, expect, test } from "vitest";
import { kept, remember } from "@/lib/attempt";
import { count, countdown, milliseconds, money } from "@/lib/format";
import { backoff_ms } from "@/lib/retry";

beforeEach(() => localStorage.clear());

test("money knows how many minor units its currency has", () => {
  expect(money(1999, "EUR", "en")).toBe("€19.99");
  expect(money(1999, "JPY", "en")).toBe("¥1,999");
});
test("numbers are the reader's", () => {
  expect(count(10000, "de")).toBe("10.000");
  expect(milliseconds(3.714, "en")).toBe("3.71 ms");
  expect(milliseconds(123.4, "en")).toBe("123 ms");
});
test("a countdown never goes below zero", () => {
  expect(countdown(187_000)).toBe("3:07");
  expect(countdown(3_727_000)).toBe("1:02:07");
  expect(countdown(-5)).toBe("0:00");
});
test("waits double, are bounded, and spread by chance", () => {
  expect(backoff_ms(0, 1)).toBe(500);
  expect(backoff_ms(1, 1)).toBe(1000);
  expect(backoff_ms(99, 1)).toBe(10_000);
  expect(backoff_ms(2, 0)).toBe(1000);
});
test("an attempt keeps its key over a reload, and the next one gets another", () => {
  const first = kept("attempt");
  expect(kept("attempt")).toBe(first);
  remember("attempt", null);
  expect(kept("attempt")).not.toBe(first);
});
