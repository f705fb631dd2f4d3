"use client";

import { useMemo } from "react";
import type { SeriesPoint } from "@/lib/api/client";
import { count } from "@/lib/format";
import { columnsOf } from "@/lib/simulation";
import { Chart } from "../chart";

/** Requests and locks over time. Each has a chart of its own, because their scales differ a hundredfold. */
export function Timeline({ series, stale }: { series: SeriesPoint[]; stale: boolean }) {
  const { seconds, requests, locks, starts } = useMemo(() => columnsOf(series), [series]);
  const most = (values: (number | null)[]) => values.reduce<number>((top, value) => Math.max(top, value ?? 0), 0);
  return (
    <div className={`grid gap-2 ${stale ? "stale" : ""}`}>
      <Chart
        label="Requests answered"
        summary={`At most ${count(most(requests))} in 100 ms.`}
        seconds={seconds}
        values={requests}
        segments={starts}
        token="info"
        syncKey="simulation"
      />
      <Chart
        label="Successful locks"
        summary={`At most ${count(most(locks))} in 100 ms.`}
        seconds={seconds}
        values={locks}
        segments={starts}
        token="good"
        syncKey="simulation"
      />
    </div>
  );
}
