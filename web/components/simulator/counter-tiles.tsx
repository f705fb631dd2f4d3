"use client";

import type { Simulation } from "@/lib/api/client";
import { count, milliseconds } from "@/lib/format";
import { figuresOf } from "@/lib/simulation";
import { Stat } from "../ui";
import { useTexts } from "./texts";

/** One strategy's four figures, during its run and after it. */
export function CounterTiles({
  simulation,
  figures: strategy,
  live,
}: {
  simulation: Simulation | null;
  figures: string | null;
  live: boolean;
}) {
  const t = useTexts().counters;
  const now = simulation && strategy ? figuresOf(simulation, strategy) : null;
  const stale = now !== null && !live && !now.run;
  const value = (read: (figures: NonNullable<typeof now>) => string) => (now ? read(now) : "–");
  const oversold = now?.inventory_oversold ?? 0;
  return (
    <div className="grid grid-cols-2 gap-3 xl:grid-cols-4">
      <Stat
        big
        label={t.requests}
        stale={stale}
        value={value((f) => count(f.total_requests))}
        hint={
          simulation
            ? t.ofBuyers(count(simulation.buyers)) + (now?.run?.errors ? t.errors(count(now.run.errors)) : "")
            : t.answered
        }
      >
        {simulation && <Progress value={now?.total_requests ?? 0} total={simulation.buyers} token="info" />}
      </Stat>
      <Stat
        big
        label={t.locks}
        stale={stale}
        value={value((f) => count(f.successful_locks))}
        hint={simulation ? t.lockedOf(count(simulation.stock)) : t.locked}
      >
        {simulation && (
          <Progress value={now?.successful_locks ?? 0} total={simulation.stock} token={oversold ? "bad" : "good"} />
        )}
      </Stat>
      <Stat
        big
        label={t.oversold}
        stale={stale}
        value={value((f) => count(f.inventory_oversold))}
        tone={now ? (oversold ? "bad" : "good") : undefined}
        hint={now ? (oversold ? t.beyond : now.run ? t.never : t.noneYet) : t.unitsBeyond}
      />
      <Stat
        big
        label={t.latency}
        stale={stale}
        value={value((f) => (f.total_requests ? milliseconds(f.avg_latency_ms) : "–"))}
        hint={now?.run ? `p50 ${milliseconds(now.run.p50_ms)} · p99 ${milliseconds(now.run.p99_ms)}` : t.toAnswer}
      />
    </div>
  );
}

function Progress({ value, total, token }: { value: number; total: number; token: string }) {
  return (
    <div aria-hidden className="h-1 overflow-hidden rounded-full bg-raised">
      <div
        className="h-full"
        style={{ width: `${total ? Math.min(100, (value / total) * 100) : 0}%`, background: `var(--${token})` }}
      />
    </div>
  );
}
