"use client";

import { useState } from "react";
import { bearer, api, type Simulation } from "@/lib/api/client";
import { currentOf, isOver } from "@/lib/simulation";
import { useSimulation } from "@/lib/use-simulation";
import { useQuery } from "@/lib/use-address";
import { useSystem } from "@/lib/use-system";
import { useAdminKey } from "@/lib/key-store";
import { useAction } from "@/lib/use-action";
import { AdminKey } from "../admin-key";
import { Curl } from "../curl";
import { ActionMessage, Banner, Choice, Empty, PageHeader, Panel, Pill } from "../ui";
import { Comparison } from "./comparison";
import { CounterTiles } from "./counter-tiles";
import { Histogram } from "./histogram";
import { LogConsole } from "./log-console";
import { Past } from "./past";
import { Setup } from "./setup";
import { Share } from "./share";
import { Timeline } from "./timeline";
import { SIMULATION_TONES } from "./tones";

export function Simulator() {
  const id = useQuery("id") ?? null;
  const { system, lost } = useSystem();
  const { simulation, missing, connection } = useSimulation(id);
  const key = useAdminKey();
  return (
    // The simulator speaks English only.
    <div lang="en" className="contents">
      <PageHeader
        title="Simulator"
        aside={
          <Pill tone={lost || !system ? "warn" : "info"}>
            environment: {lost ? "not reachable" : (simulation?.environment ?? system?.environment ?? "…")}
          </Pill>
        }
      >
        Thousands of buyers press Buy at the same moment, each over a real connection to this service, its Valkey or
        Redis and its PostgreSQL. Nothing is mocked.
      </PageHeader>
      <Banner connection={connection === "over" || !id || missing ? (lost ? "lost" : "live") : connection} />
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 lg:grid-cols-[20rem_minmax(0,1fr)]">
        <aside className={`grid grid-cols-[minmax(0,1fr)] gap-4 ${simulation ? "max-lg:order-last" : ""}`}>
          <Setup key={simulation ? "from" : "new"} last={simulation} system={system} />
          {!key && (
            <AdminKey why="You need the admin key to start, stop and list simulations." right="run-simulations" />
          )}
        </aside>
        <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
          {missing ? (
            <Empty title="There is no simulation at this address">
              It may belong to another installation. Start a simulation here to get an address that you can share.
            </Empty>
          ) : simulation ? (
            <SimulationPanels
              key={simulation.id}
              simulation={simulation}
              live={connection === "live" || connection === "over"}
            />
          ) : (
            <Waiting id={id} />
          )}
        </div>
      </div>
      <Past admin={key} changed={`${id} ${simulation?.status}`} />
    </div>
  );
}

function Waiting({ id }: { id: string | null }) {
  return (
    <>
      <CounterTiles figures={null} simulation={null} live />
      <Empty title={id ? "Reading the simulation…" : "No simulation selected"}>
        {!id && (
          <>
            Choose the buyers, the stock and the strategies, then press <strong>Start</strong>. Run “naive” beside
            “flashguard” to see what a race condition costs.
          </>
        )}
      </Empty>
    </>
  );
}

function SimulationPanels({ simulation, live }: { simulation: Simulation; live: boolean }) {
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
        return "Stop requested.";
      },
    });
  return (
    <>
      <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
        <Pill tone={SIMULATION_TONES[simulation.status]} busy={!over}>
          {stopRequested && !over ? "stopping" : simulation.status}
        </Pill>
        {started.length > 0 && (
          <Choice
            label="Strategy shown"
            value={shown}
            onChange={(name) => setChosen(over || name !== currentOf(simulation) ? name : null)}
            options={started.map((name) => [name, name] as const)}
          />
        )}
        <div className="ml-auto flex flex-wrap gap-2">
          {!over && (
            <button className="btn btn-bad" disabled={!key || busy || stopRequested} onClick={stop}>
              Stop
            </button>
          )}
          {over && <Share simulation={simulation} />}
        </div>
        {simulation.detail && <p className="basis-full text-bad">{simulation.detail}</p>}
        {!over && (
          <div className="basis-full empty:hidden">
            <ActionMessage result={result} />
          </div>
        )}
      </div>
      <CounterTiles figures={shown} simulation={simulation} live={live} />
      {simulation.runs.length > 1 && <Comparison simulation={simulation} />}
      <div className="grid grid-cols-[minmax(0,1fr)] gap-4 xl:grid-cols-[minmax(0,3fr)_minmax(0,2fr)]">
        <Panel title="Requests and locks per 100 ms">
          <Timeline series={simulation.series} stale={!live} />
        </Panel>
        <Panel title={`Latency of ${shown}`}>
          <Histogram run={run} />
        </Panel>
      </div>
      <LogConsole log={simulation.log} live={live && !over} />
      <Curl path={`/v1/simulations/${simulation.id}`} />
    </>
  );
}
