import { beforeEach, expect, test } from "vitest";
import { remember, rememberedId } from "@/lib/remember";
import { buyer, buyerOf, customer } from "@/lib/buyer";
import type { Simulation } from "@/lib/api/client";
import { curlOf } from "@/lib/curl";
import { count, countdown, countdownTo, duration, milliseconds, money, rate, seconds, short } from "@/lib/format";
import { keyInFragment } from "@/lib/fragment";
import { preferred } from "@/lib/language";
import { reportSvg } from "@/lib/report-svg";
import { backoff_ms } from "@/lib/retry";
import { de } from "@/messages/simulator/de";
import { en } from "@/messages/simulator/en";

beforeEach(() => localStorage.clear());

test("money is formatted with the decimals of its currency", () => {
  expect(money(1999, "EUR", "en")).toBe("€19.99");
  expect(money(1999, "JPY", "en")).toBe("¥1,999");
});
test("numbers are formatted for the reader's locale", () => {
  expect(count(10000, "de")).toBe("10.000");
  expect(milliseconds(3.714, "en")).toBe("3.71 ms");
  expect(milliseconds(123.4, "en")).toBe("123 ms");
});
test("a countdown never goes below zero", () => {
  expect(countdown(187_000)).toBe("3:07");
  expect(countdown(3_727_000)).toBe("1:02:07");
  expect(countdown(-5)).toBe("0:00");
});
test("waits double up to a bound and are spread at random", () => {
  expect(backoff_ms(0, 1)).toBe(500);
  expect(backoff_ms(1, 1)).toBe(1000);
  expect(backoff_ms(99, 1)).toBe(10_000);
  expect(backoff_ms(2, 0)).toBe(1000);
});
test("an attempt keeps its key over a reload; the next attempt gets another", () => {
  const first = rememberedId("attempt");
  expect(rememberedId("attempt")).toBe(first);
  remember("attempt", null);
  expect(rememberedId("attempt")).not.toBe(first);
});
test("durations and rates show no needless digits", () => {
  expect([duration(250, "en"), duration(1536, "en"), duration(90_000, "en")]).toEqual(["250 ms", "1.5 s", "1.5 min"]);
  expect([rate(3.14159, "en"), rate(12700.4, "en"), short(12_700, "en"), seconds(10_449, "en")]).toEqual([
    "3.1",
    "12,700",
    "12.7K",
    "10.4 s",
  ]);
});
test("a copied curl command runs in a shell and contains no key", () => {
  expect(curlOf("http://h", { path: "/v1/system" })).toBe("curl 'http://h/v1/system'");
  expect(
    curlOf("http://h", { method: "POST", path: "/v1/sales/a%20b/orders", body: { customer: "O'Hara" }, admin: true }),
  ).toBe(
    `curl -X POST 'http://h/v1/sales/a%20b/orders' -H "Authorization: Bearer $FLASHGUARD_ADMIN_KEY" ` +
      `-H 'Content-Type: application/json' -d '{"customer":"O'\\''Hara"}'`,
  );
});
test("the key is read only from the fragment", () => {
  expect(keyInFragment("#key=fg_admin_a-b_c")).toBe("fg_admin_a-b_c");
  expect(keyInFragment("#main")).toBe("");
  expect(keyInFragment("")).toBe("");
});
const text = (value: object) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(value))))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
const tokenOf = (claims: object) => `${text({ alg: "HS256", kid: "k" })}.${text(claims)}.sig`;
test("a buyer's token is read from the fragment, kept for this tab and removed from the address", () => {
  const token = tokenOf({ sub: "änn ?>", exp: Date.now() / 1000 + 60 });
  expect(customer()).toBe(rememberedId("customer"));
  window.history.replaceState(null, "", `/sale/?id=drop#token=${token}`);
  expect(buyer()).toMatchObject({ token, customer: "änn ?>" });
  expect(window.location.hash).toBe("");
  expect(window.location.search).toBe("?id=drop");
  expect(customer()).toBe("änn ?>");
  expect(buyer(Date.now() + 61_000)).toBeNull();
  expect(buyer()).toBeNull();
});
test("a malformed token has no buyer", () => {
  for (const wrong of ["", "x", "a.b.c", tokenOf({}), tokenOf({ sub: 7, exp: 1 }), tokenOf([])])
    expect(buyerOf(wrong)).toBeNull();
});
test("a report is well-formed XML, whatever its texts contain", () => {
  const run = {
    strategy: `<b>&"'`,
    total_requests: 9,
    successful_locks: 9,
    inventory_oversold: 7,
    units_leaked: 0,
    avg_latency_ms: 1,
    p50_ms: 1,
    p99_ms: 1,
    errors: 0,
    seconds: 1,
    requests_per_second: 9,
    sold_out: 0,
    retries: 0,
    latency_histogram: [],
    behind: "lane" as const,
    stocks: [],
  };
  const simulation: Simulation = {
    id: "a1",
    status: "finished",
    environment: "embedded",
    buyers: 9,
    stock: 2,
    strategies: ["naive"],
    created_at: "2026-01-01T00:00:00Z",
    finished_at: null,
    detail: null,
    runs: [run],
    counters: null,
    log: [],
    series: [],
  };
  const svg = reportSvg(simulation, en);
  const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
  expect(parsed.querySelector("parsererror")).toBeNull();
  expect(svg).not.toContain("<b>");
  expect(svg).toContain("7 oversold");
  expect(svg).toContain("behind FlashGuard");
  const german = reportSvg(simulation, de);
  expect(german).toContain("7 überverkauft");
  expect(german).toContain("hinter FlashGuards Spur");
});

test("the reader's choice of a language wins over the browser's, and an unknown one is English", () => {
  expect(preferred(null, ["fr-FR", "de-AT", "en-US"])).toBe("de");
  expect(preferred("en", ["de-DE"])).toBe("en");
  expect(preferred("xx", ["fr"])).toBe("en");
});

test("a moment that is days away has no countdown", () => {
  expect(countdownTo("2030-01-01T01:00:00Z", Date.parse("2030-01-01T00:58:30Z"))).toBe("1:30");
  expect(countdownTo("2030-01-09T00:00:00Z", Date.parse("2030-01-01T00:00:00Z"))).toBeNull();
});
