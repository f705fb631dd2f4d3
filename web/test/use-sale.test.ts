import { act, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { api } from "@/lib/api/client";
import { POLL_MS, useSale } from "@/lib/use-sale";
import { FakeSource } from "./fake-source";

const newest = () => FakeSource.all.at(-1)!;
const sale = (available: number) => ({ id: "drop", items: [{ sku: "unit", available }], pools: [] });

function refuse() {
  newest().readyState = FakeSource.CLOSED;
  return act(async () => newest().onerror!());
}

beforeEach(() => {
  vi.useFakeTimers();
  FakeSource.all = [];
  vi.stubGlobal("EventSource", FakeSource);
});
afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

test("without streams the sale is polled, and counts as live", async () => {
  let left = 5;
  const get = vi.spyOn(api, "GET").mockImplementation((async () => ({ data: sale(left) })) as never);
  const { result } = renderHook(() => useSale("drop"));
  await refuse();
  expect(result.current.connection).toBe("live");
  expect(result.current.sale?.items[0]?.available).toBe(5);
  left = 4;
  await act(async () => void (await vi.advanceTimersByTimeAsync(POLL_MS * 2)));
  expect(result.current.sale?.items[0]?.available).toBe(4);
  const polls = get.mock.calls.length;
  newest().send("sale", sale(3));
  await act(async () => void (await vi.advanceTimersByTimeAsync(POLL_MS * 4)));
  expect(get.mock.calls.length, "a stream that comes back ends the polls").toBe(polls);
});

test("a service that does not answer polls is not live", async () => {
  vi.spyOn(api, "GET").mockRejectedValue(new TypeError("offline"));
  const { result } = renderHook(() => useSale("drop"));
  await refuse();
  expect(result.current.connection).toBe("lost");
});

test("a broken stream reconnects without polls", async () => {
  const get = vi.spyOn(api, "GET");
  renderHook(() => useSale("drop"));
  await act(async () => newest().onerror!());
  expect(get).not.toHaveBeenCalled();
});

test("a missing sale is not polled until the user asks again", async () => {
  const get = vi
    .spyOn(api, "GET")
    .mockImplementation((async () => ({ error: { code: "unknown-sale" }, response: { status: 404 } })) as never);
  const { result } = renderHook(() => useSale("drop"));
  await refuse();
  expect(result.current.missing).toBe(true);
  const opened = FakeSource.all.length,
    polls = get.mock.calls.length;
  await act(async () => void (await vi.advanceTimersByTimeAsync(60_000)));
  expect([FakeSource.all.length, get.mock.calls.length]).toEqual([opened, polls]);
  await act(async () => result.current.retry());
  expect(FakeSource.all.length).toBe(opened + 1);
});

test("a draft is polled with the shop's key, and streamed once it is open", async () => {
  let status = "draft";
  const get = vi.spyOn(api, "GET").mockImplementation((async () => ({ data: { ...sale(5), status } })) as never);
  const { result } = renderHook(() => useSale("drop", "fg_admin_x"));
  expect(result.current.connection).toBe("connecting");
  await act(async () => void (await vi.advanceTimersByTimeAsync(0)));
  expect([result.current.connection, FakeSource.all.length]).toEqual(["live", 0]);
  expect(get.mock.calls[0]![1]).toMatchObject({ headers: { Authorization: "Bearer fg_admin_x" } });
  status = "open";
  await act(async () => void (await vi.advanceTimersByTimeAsync(POLL_MS * 2)));
  expect([result.current.connection, FakeSource.all.length]).toEqual(["live", 1]);
  newest().send("sale", { ...sale(4), status });
  expect([result.current.connection, result.current.sale?.items[0]?.available]).toEqual(["live", 4]);
});
