"use client";

import type { RunResult } from "@/lib/api/client";
import { count, duration, milliseconds } from "@/lib/format";
import { Empty } from "../ui";
import { useTexts } from "./texts";

/** A run's answers by latency. Each bucket is twice as wide as the one before. */
export function Histogram({ run }: { run: RunResult | undefined }) {
  const t = useTexts().histogram;
  if (!run) return <Empty title={t.notYet}>{t.notYetWhat}</Empty>;
  if (!run.latency_histogram.length) return <Empty title={t.none} />;
  const first = run.latency_histogram.findIndex(([, requests]) => requests > 0);
  const rows = run.latency_histogram.slice(Math.max(0, first));
  const maximum = Math.max(...rows.map(([, requests]) => requests));
  return (
    <>
      <table className="w-full" aria-label={t.label}>
        <thead className="sr-only">
          <tr>
            <th>{t.latency}</th>
            <th>{t.share}</th>
            <th>{t.requests}</th>
          </tr>
        </thead>
        <tbody>
          {rows.map(([edge, requests]) => (
            <tr key={edge}>
              <td className="w-24 py-1 pr-3 text-right text-xs whitespace-nowrap text-soft">
                {edge === 1 ? t.below(duration(edge)) : `${duration(edge / 2)}–${duration(edge)}`}
              </td>
              <td className="py-1">
                <div
                  aria-hidden
                  className="h-4 min-w-px rounded-r-sm bg-info"
                  style={{ width: `${(requests / maximum) * 100}%` }}
                />
              </td>
              <td className="w-16 py-1 pl-3 text-right text-xs">{count(requests)}</td>
            </tr>
          ))}
        </tbody>
      </table>
      <dl className="mt-3 grid grid-cols-3 gap-2 border-t border-line pt-3">
        {(
          [
            [t.average, run.avg_latency_ms],
            ["p50", run.p50_ms],
            ["p99", run.p99_ms],
          ] as const
        ).map(([name, ms]) => (
          <div key={name}>
            <dt className="text-xs text-soft">{name}</dt>
            <dd className="font-semibold">{milliseconds(ms)}</dd>
          </div>
        ))}
      </dl>
    </>
  );
}
