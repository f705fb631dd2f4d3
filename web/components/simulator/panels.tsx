"use client";

import { useState } from "react";
import { bearer, api, type Simulation } from "@/lib/api/client";
import { currentOf, isOver } from "@/lib/simulation";
import { useAdminKey } from "@/lib/key-store";
import { useAction } from "@/lib/use-action";
import { Curl } from "../curl";
import { ActionMessage, Choice, Panel, Pill } from "../ui";
import { Comparison } from "./comparison";
import { CounterTiles } from "./counter-tiles";
import { Histogram } from "./histogram";
import { LogConsole } from "./log-console";
import { Share } from "./share";
import { useTexts } from "./texts";
import { Timeline } from "./timeline";
import { SIMULATION_TONES } from "./tones";

/** A simulation, while it runs and after it. */
export function SimulationPanels({ simulation, live }: { simulation: Simulation; live: boolean }) {
  const t = useTexts();
  const [chosen, setChosen] = useState<string | null>(null);
  const key = useAdminKey();
  const [stopRequested, setStopRequested] = useState(false);
  const { busy, result, act } = useAction();
  const started = simulation.strategies.filter(
    (name) => name === simulation.counters?.strategy || simulation.runs.some((run) => run.strategy === name),
  );
  const shown = chosen ?? currentOf(simulation);
  const over = isOver(simulation);
  const run = simulation.runs.find((run) => run.strategy === shown);

  const stop = () =>
    void act({
      name: `stop:${simulation.id}`,
      call: ({ signal }) =>
        api.POST("/v1/simulations/{id}/stop", {
          params: { path: { id: simulation.id } },
          headers: bearer(key),
          signal,
        }),
      done: () => {
        setStopRequested(true);
        return t.stopRequested;
      },
    });
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Pill tone={SIMULATION_TONES[simulation.status]} busy={!over}>
          {stopRequested && !over ? t.stopping : t.statuses[simulation.status]}
        </Pill>
        {started.length > 0 && (
          <Choice
            label={t.shown}
            value={shown}
            onChange={(name) => setChosen(over || name !== currentOf(simulation) ? name : null)}
            options={started.map((name) => [name, name] as const)}
          />
        )}
        <div className="ml-auto flex flex-wrap gap-2">
          {!over && (
            <button className="btn btn-bad" disabled={!key || busy || stopRequested} onClick={stop}>
              {t.stop}
            </button>
          )}
          {over && <Share simulation={simulation} />}
        </div>
        {simulation.detail && (
          <p lang="en" className="basis-full text-bad">
            {simulation.detail}
          </p>
        )}
        {!over && (
          <div className="basis-full empty:hidden">
            <ActionMessage result={result} />
          </div>
        )}
      </div>
      <CounterTiles figures={shown} simulation={simulation} live={live} />
      {simulation.runs.length > 1 && <Comparison simulation={simulation} />}
      <div className="grid grid-cols-[minmax(0,1fr)] gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <Panel title={t.timeline}>
          <Timeline series={simulation.series} stale={!live} />
        </Panel>
        <Panel title={t.latencyOf(shown)}>
          <Histogram run={run} />
        </Panel>
      </div>
      <LogConsole log={simulation.log} live={live && !over} />
      <Curl path={`/v1/simulations/${simulation.id}`} />
    </>
  );
}
