"use client";

import type { Sale } from "@/lib/api/client";
import { count, rate as shown } from "@/lib/format";
import { unitsIn } from "@/lib/stock";
import { CHART_SECONDS, FIGURE_SECONDS, useRate } from "@/lib/use-rate";
import { useSystem } from "@/lib/use-system";
import { locale, useMessages } from "@/lib/language";
import { Stat } from "../ui";
import { useTexts } from "./texts";

/** How fast a sale sells, and how far the ledger lags behind. */
export function SaleFigures({ sale, live }: { sale: Sale; live: boolean }) {
  const { home } = useMessages();
  const t = useTexts().figures;
  const { system, lost } = useSystem();
  const total = (name: "stock" | "held" | "sold") => unitsIn(sale, name);
  const { steps, rate } = useRate(total("sold"), live);
  const recorder = system?.components.recorder;
  const percent = new Intl.NumberFormat(locale(), { style: "percent", maximumFractionDigits: 1 });
  return (
    <div className="grid grid-cols-2 gap-3 xl:grid-cols-4">
      <Stat
        label={t.sellThrough}
        value={total("stock") ? percent.format(total("sold") / total("stock")) : "–"}
        stale={!live}
        hint={t.soldOf(count(total("sold")), count(total("stock")))}
      />
      <Stat label={t.held} value={count(total("held"))} stale={!live} hint={t.heldHint} />
      <Stat label={t.rate} value={rate === null ? "–" : shown(rate)} stale={!live} hint={t.rateHint(FIGURE_SECONDS)}>
        <Sparkline steps={steps} />
      </Stat>
      <Stat
        label={t.lag}
        value={recorder?.lag_entries == null ? "–" : count(recorder.lag_entries)}
        stale={lost}
        tone={recorder?.status === "ok" ? undefined : "warn"}
        hint={
          recorder ? t.lagOf(recorder.status === "ok" ? t.keepsUp : home.componentStates[recorder.status]) : t.lagHint
        }
      />
    </div>
  );
}

function Sparkline({ steps }: { steps: number[] }) {
  const most = Math.max(1, ...steps);
  const points = steps.map(
    (step, at) => `${((CHART_SECONDS - steps.length + at) / (CHART_SECONDS - 1)) * 100},${24 - (step / most) * 22}`,
  );
  return (
    <svg aria-hidden viewBox="0 0 100 25" preserveAspectRatio="none" className="h-6 w-full text-info">
      <polyline
        points={points.join(" ")}
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        vectorEffect="non-scaling-stroke"
      />
    </svg>
  );
}
