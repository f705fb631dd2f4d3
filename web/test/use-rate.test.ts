import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { CHART_SECONDS, nextSteps, useRate } from "@/lib/use-rate";

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());
const pass = (ms: number) => act(() => void vi.advanceTimersByTime(ms));

test("the rate is the average growth per second", () => {
  const { result, rerender } = renderHook(({ total, live }) => useRate(total, live), {
    initialProps: { total: 100, live: true },
  });
  pass(1000);
  expect(result.current.rate).toBeNull();
  rerender({ total: 106, live: true });
  pass(1000);
  pass(1000);
  expect(result.current).toEqual({ steps: [6, 0], rate: 3 });
});
test("sales during a lost connection do not count as a burst, and no rate is shown meanwhile", () => {
  const { result, rerender } = renderHook(({ total, live }) => useRate(total, live), {
    initialProps: { total: 0, live: true },
  });
  pass(2000);
  rerender({ total: 0, live: false });
  expect(result.current.rate).toBeNull();
  rerender({ total: 900, live: true });
  pass(2000);
  expect(result.current.rate).toBe(0);
});
test("the chart is bounded", () => {
  let steps: number[] = [];
  for (let at = 0; at < CHART_SECONDS + 9; at++) steps = nextSteps(steps, at, at + 1);
  expect(steps).toHaveLength(CHART_SECONDS);
});
