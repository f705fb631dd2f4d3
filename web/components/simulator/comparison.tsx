"use client";

import type { RunResult, Simulation } from "@/lib/api/client";
import { count, duration, milliseconds, rate } from "@/lib/format";
import { Panel, Pill, Scroll } from "../ui";
import { useTexts } from "./texts";

const sold = (run: RunResult, stock: number) =>
  run.inventory_oversold ? stock + run.inventory_oversold : Math.min(stock, run.successful_locks);

/** The columns of figures, in the order of each row's cells. */
const FIGURES = ["requests", "locks", "oversold", "leaked", "errors", "latency", "p99", "seconds", "rate"] as const;

/** The strategies side by side. Oversold units are red, hatched and labelled. */
export function Comparison({ simulation: { runs, stock, buyers } }: { simulation: Simulation }) {
  const { comparison: t, behind } = useTexts();
  const most = Math.max(1, stock, ...runs.map((run) => sold(run, stock)));
  const fastest = Math.max(...runs.map((run) => run.requests_per_second), 1);
  return (
    <Panel title={t.title} aside={<span className="text-xs text-soft">{t.each(count(buyers), count(stock))}</span>}>
      <div className="grid gap-x-8 gap-y-4 md:grid-cols-2">
        <Bars
          title={t.sold}
          legend={
            <>
              <Swatch className="bg-good" />
              {t.inStock} <Swatch className="hatch bg-bad" />
              {t.oversold}
            </>
          }
        >
          {runs.map((run) => (
            <Bar
              key={run.strategy}
              name={run.strategy}
              value={
                run.inventory_oversold ? (
                  <strong className="text-bad">{t.oversoldUnits(count(run.inventory_oversold))}</strong>
                ) : (
                  t.soldOf(count(sold(run, stock)), count(stock))
                )
              }
            >
              <span className="bg-good" style={{ width: `${(Math.min(stock, sold(run, stock)) / most) * 100}%` }} />
              <span className="hatch bg-bad" style={{ width: `${(run.inventory_oversold / most) * 100}%` }} />
            </Bar>
          ))}
        </Bars>
        <Bars title={t.perSecond} legend={t.measured}>
          {runs.map((run) => (
            <Bar key={run.strategy} name={run.strategy} value={rate(run.requests_per_second)}>
              <span className="bg-info" style={{ width: `${(run.requests_per_second / fastest) * 100}%` }} />
            </Bar>
          ))}
        </Bars>
      </div>
      <Scroll label={t.table} className="mt-4">
        <table className="table">
          <thead>
            <tr>
              <th>{t.strategy}</th>
              <th>{t.verdict}</th>
              {FIGURES.map((name) => (
                <th key={name} className="num">
                  {t.figures[name]}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {runs.map((run) => (
              <tr key={run.strategy}>
                <td className="font-medium">
                  {run.strategy}
                  {run.behind && (
                    <span className="block text-xs font-normal text-soft">{t.behind(behind[run.behind])}</span>
                  )}
                </td>
                <td>
                  <Verdict run={run} />
                </td>
                <td className="num">{count(run.total_requests)}</td>
                <td className="num">{count(run.successful_locks)}</td>
                <td className={`num ${run.inventory_oversold ? "font-semibold text-bad" : ""}`}>
                  {count(run.inventory_oversold)}
                </td>
                <td className="num">{count(run.units_leaked)}</td>
                <td className="num">{count(run.errors)}</td>
                <td className="num">{milliseconds(run.avg_latency_ms)}</td>
                <td className="num">{milliseconds(run.p99_ms)}</td>
                <td className="num">{duration(run.seconds * 1000)}</td>
                <td className="num">{rate(run.requests_per_second)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </Scroll>
    </Panel>
  );
}

function Verdict({ run }: { run: RunResult }) {
  const t = useTexts().comparison.verdicts;
  if (run.inventory_oversold) return <Pill tone="bad">{t.oversold}</Pill>;
  if (run.units_leaked) return <Pill tone="warn">{t.leaked}</Pill>;
  return run.errors ? <Pill tone="warn">{t.errors}</Pill> : <Pill tone="good">{t.exact}</Pill>;
}

const Swatch = ({ className }: { className: string }) => (
  <span aria-hidden className={`mr-1.5 ml-2 inline-block size-2 rounded-[2px] ${className}`} />
);

function Bars({ title, legend, children }: { title: string; legend: React.ReactNode; children: React.ReactNode }) {
  return (
    <div className="min-w-0">
      <p className="mb-2 flex flex-wrap justify-between gap-2 text-xs text-soft">
        <span>{title}</span>
        <span>{legend}</span>
      </p>
      <div className="grid gap-2">{children}</div>
    </div>
  );
}

function Bar({ name, value, children }: { name: string; value: React.ReactNode; children: React.ReactNode }) {
  return (
    <div>
      <p className="flex justify-between gap-2 text-xs">
        <span className="font-medium">{name}</span>
        <span>{value}</span>
      </p>
      <div aria-hidden className="mt-0.5 flex h-3 overflow-hidden rounded-sm bg-raised">
        {children}
      </div>
    </div>
  );
}
