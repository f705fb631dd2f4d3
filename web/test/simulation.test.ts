import { expect, test } from "vitest";
import type { Counters, RunResult, Simulation } from "@/lib/api/client";
import {
  behindOf,
  columnsOf,
  currentOf,
  figuresOf,
  fold,
  linesOf,
  MOST_LINES,
  plainOf,
  withLane,
} from "@/lib/simulation";
import { en } from "@/messages/simulator/en";

const counters = (more: Partial<Counters>): Counters => ({
  strategy: "naive",
  total_requests: 0,
  successful_locks: 0,
  inventory_oversold: 0,
  avg_latency_ms: 0,
  requests_now: 0,
  locks_now: 0,
  at_ms: 0,
  ...more,
});
const run: RunResult = {
  strategy: "naive",
  total_requests: 500,
  successful_locks: 90,
  inventory_oversold: 80,
  units_leaked: 0,
  avg_latency_ms: 7.5,
  p50_ms: 6,
  p99_ms: 20,
  errors: 0,
  seconds: 1,
  requests_per_second: 500,
  sold_out: 410,
  retries: 0,
  latency_histogram: [
    [1, 0],
    [2, 500],
  ],
  behind: "framework",
  stocks: [],
};
const fresh: Simulation = {
  id: "a1",
  status: "starting",
  environment: "embedded",
  buyers: 500,
  stock: 10,
  strategies: ["naive", "flashguard"],
  created_at: "2026-01-01T00:00:00Z",
  finished_at: null,
  detail: null,
  runs: [],
  counters: null,
  log: [],
  series: [],
};

test("each rival also stands behind the lane, once, and flashguard always does", () => {
  expect(withLane(["naive", "flashguard", "redis-lua"])).toEqual([
    "naive",
    "naive+lane",
    "flashguard",
    "redis-lua",
    "redis-lua+lane",
  ]);
  expect(plainOf(withLane(["naive", "flashguard"]))).toEqual(["naive", "flashguard"]);
  expect(
    [run, { ...run, behind: "lane" as const }, { ...run, behind: null }].map((run) => behindOf(run, en.behind)),
  ).toEqual(["FastAPI", "FlashGuard’s lane", "–"]);
});
test("events before the first full simulation change nothing", () => {
  expect(fold(null, "counters", counters({}))).toBeNull();
});
test("a full simulation replaces the old one, so that a reconnect counts nothing twice", () => {
  const known = fold(fresh, "log", { at_ms: 1, text: "old", level: "info" });
  expect(fold(known, "simulation", fresh)).toBe(fresh);
});
test("the points of each strategy add up to its totals", () => {
  let now: Simulation | null = fresh;
  for (const more of [
    { total_requests: 30, successful_locks: 3, at_ms: 100 },
    { total_requests: 50, successful_locks: 3, at_ms: 200 },
    { strategy: "flashguard", total_requests: 7, successful_locks: 1, at_ms: 900 },
  ])
    now = fold(now, "counters", counters(more));
  expect(now!.status).toBe("running");
  expect(now!.series.map((point) => [point.strategy, point.requests, point.locks])).toEqual([
    ["naive", 30, 3],
    ["naive", 20, 0],
    ["flashguard", 7, 1],
  ]);
  expect(currentOf(now!)).toBe("flashguard");
});
test("a finished strategy shows its result, not the counters of the next strategy", () => {
  let now = fold(fresh, "counters", counters({ total_requests: 499 }));
  expect(figuresOf(now!, "naive")!.total_requests).toBe(499);
  expect(figuresOf(now!, "flashguard")).toBeNull();
  now = fold(fold(now, "run", run), "counters", counters({ strategy: "flashguard", total_requests: 1 }));
  expect(figuresOf(now!, "naive")).toMatchObject({ total_requests: 500, inventory_oversold: 80, avg_latency_ms: 7.5 });
});
test("the log is bounded", () => {
  let now: Simulation | null = fresh;
  for (let at = 0; at < MOST_LINES + 5; at++) now = fold(now, "log", { at_ms: at, text: "line", level: "info" });
  expect(now!.log).toHaveLength(MOST_LINES);
});
test("lines are filtered by level and by text, ignoring case", () => {
  const log = [
    { at_ms: 1, text: "Sale opened", level: "info" },
    { at_ms: 2, text: "oversold", level: "error" },
  ] as const;
  expect(linesOf([...log], "error", "")).toEqual([log[1]]);
  expect(linesOf([...log], "all", " SALE ")).toEqual([log[0]]);
  expect(linesOf([...log], "error", "sale")).toEqual([]);
});
test("the chart has a gap between two strategies", () => {
  const { seconds, requests, starts } = columnsOf([
    { strategy: "naive", at_ms: 100, requests: 5, locks: 1 },
    { strategy: "naive", at_ms: 200, requests: 6, locks: 1 },
    { strategy: "flashguard", at_ms: 1000, requests: 9, locks: 1 },
  ]);
  expect(requests).toEqual([5, 6, null, 9]);
  expect(seconds).toEqual([0.1, 0.2, 0.6, 1]);
  expect(starts).toEqual([
    { strategy: "naive", from: 0.1, to: 0.2 },
    { strategy: "flashguard", from: 1, to: 1 },
  ]);
});
