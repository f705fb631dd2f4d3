import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { useEvents } from "@/lib/use-events";
import { FakeSource } from "./fake-source";

const newest = () => FakeSource.all.at(-1)!;

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  vi.stubGlobal("EventSource", FakeSource);
});
afterEach(() => vi.useRealTimers());

test("a lost stream reconnects from the last event id", () => {
  const seen: unknown[] = [];
  const { result } = renderHook(() => useEvents<{ stock: number }>("/e", { stock: (data) => seen.push(data) }));
  newest().send("stock", 7, "1-9");
  expect(result.current).toBe("live");
  expect(seen).toEqual([7]);
  act(() => newest().onerror!());
  expect(result.current).toBe("lost");
  act(() => void vi.advanceTimersByTime(600));
  expect(FakeSource.all[0]!.closed).toBe(true);
  expect(newest().url).toBe("/e?last_event_id=1-9");
});
test("a ping keeps the connection, but does not make stale numbers live", () => {
  const { result } = renderHook(() => useEvents<{ stock: number }>("/e", { stock: () => {} }));
  newest().send("stock", 1);
  newest().send("away", { code: "recovering" });
  newest().send("ping", {});
  expect(result.current).toBe("lost");
  newest().send("stock", 2);
  act(() => void vi.advanceTimersByTime(11_000));
  expect(result.current).toBe("live");
  act(() => void vi.advanceTimersByTime(1_500));
  expect(result.current).toBe("lost");
});
