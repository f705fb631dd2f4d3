"use client";

import { useMemo } from "react";
import type { SeriesPoint } from "@/lib/api/client";
import { count } from "@/lib/format";
import { columnsOf } from "@/lib/simulation";
import { Chart } from "../chart";
import { useTexts } from "./texts";

/** Requests and locks over time. Each has a chart of its own, because their scales differ a hundredfold. */
export function Timeline({ series, stale }: { series: SeriesPoint[]; stale: boolean }) {
  const t = useTexts().series;
  const { seconds, requests, locks, starts } = useMemo(() => columnsOf(series), [series]);
  const most = (values: (number | null)[]) => values.reduce<number>((top, value) => Math.max(top, value ?? 0), 0);
  return (
    <div className={`grid gap-2 ${stale ? "stale" : ""}`}>
      <Chart
        label={t.requests}
        summary={t.atMost(count(most(requests)))}
        seconds={seconds}
        values={requests}
        segments={starts}
        token="info"
        syncKey="simulation"
      />
      <Chart
        label={t.locks}
        summary={t.atMost(count(most(locks)))}
        seconds={seconds}
        values={locks}
        segments={starts}
        token="good"
        syncKey="simulation"
      />
    </div>
  );
}
