import { act, renderHook, waitFor } from "@testing-library/react";
import { beforeEach, expect, test, vi } from "vitest";
import { api } from "@/lib/api/client";
import { useSimulation } from "@/lib/use-simulation";
import { FakeSource } from "./fake-source";

const whole = (status: string) => ({
  id: "a1",
  status,
  buyers: 5,
  stock: 1,
  strategies: ["naive"],
  runs: [],
  counters: null,
  log: [],
  series: [],
});
const answers = (status: number, data?: unknown) =>
  vi.spyOn(api, "GET").mockResolvedValue({ data, response: new Response(null, { status }) } as never);

beforeEach(() => {
  FakeSource.all = [];
  vi.stubGlobal("EventSource", FakeSource);
});

test("a running simulation is followed to its end, which is not a lost connection", async () => {
  answers(200, whole("running"));
  const { result } = renderHook(() => useSimulation("a1"));
  await waitFor(() => expect(FakeSource.all).toHaveLength(1));
  const source = FakeSource.all[0]!;
  expect(result.current.connection).toBe("connecting");
  source.send("simulation", whole("running"));
  source.send("log", { at_ms: 1, text: "sale opened", level: "info" });
  expect(result.current.connection).toBe("live");
  expect(result.current.simulation!.log).toHaveLength(1);
  act(() => source.onerror!());
  expect(result.current.connection).toBe("lost");
  source.send("simulation", whole("finished"));
  expect(result.current.connection).toBe("over");
});
test("a finished simulation opens no stream", async () => {
  answers(200, whole("finished"));
  const { result } = renderHook(() => useSimulation("a1"));
  await waitFor(() => expect(result.current.connection).toBe("over"));
  expect(FakeSource.all).toHaveLength(0);
});
test("a wrong address differs from a service that does not answer", async () => {
  answers(404);
  const wrong = renderHook(() => useSimulation("a1"));
  await waitFor(() => expect(wrong.result.current.missing).toBe(true));
  expect(FakeSource.all).toHaveLength(0);
  vi.spyOn(api, "GET").mockRejectedValue(new TypeError("refused"));
  const away = renderHook(() => useSimulation("b2"));
  await waitFor(() => expect(FakeSource.all).toHaveLength(1));
  expect(away.result.current.missing).toBe(false);
});
