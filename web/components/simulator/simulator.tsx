"use client";

import dynamic from "next/dynamic";
import { useSimulation } from "@/lib/use-simulation";
import { useQuery } from "@/lib/use-address";
import { useSystem } from "@/lib/use-system";
import { useAdminKey } from "@/lib/key-store";
import { useMessages } from "@/lib/language";
import { AdminKey } from "../admin-key";
import { Banner, Empty, PageHeader, Pill } from "../ui";
import { CounterTiles } from "./counter-tiles";
import { Past } from "./past";
import { Setup } from "./setup";
import { useTexts } from "./texts";

/** Loaded once there is a simulation to show: the first load has none. */
const SimulationPanels = dynamic(() => import("./panels").then((file) => file.SimulationPanels));

export function Simulator() {
  const t = useTexts();
  const { pages } = useMessages();
  const id = useQuery("id") ?? null;
  const { system, lost } = useSystem();
  const { simulation, missing, connection } = useSimulation(id);
  const key = useAdminKey();
  return (
    <>
      <PageHeader
        title={pages.simulator}
        aside={
          <Pill tone={lost || !system ? "warn" : "info"}>
            {t.environment(lost ? t.notReachable : (simulation?.environment ?? system?.environment ?? "…"))}
          </Pill>
        }
      >
        {t.intro}
      </PageHeader>
      <Banner connection={connection === "over" || !id || missing ? (lost ? "lost" : "live") : connection} />
      <div className="grid grid-cols-[minmax(0,1fr)] items-start gap-4 lg:grid-cols-[20rem_minmax(0,1fr)]">
        <aside className={`grid grid-cols-[minmax(0,1fr)] gap-4 ${simulation ? "max-lg:order-last" : ""}`}>
          <Setup key={simulation ? "from" : "new"} last={simulation} system={system} />
          {!key && <AdminKey why={t.why} right="run-simulations" />}
        </aside>
        <div className="grid grid-cols-[minmax(0,1fr)] gap-4">
          {missing ? (
            <Empty title={t.missing}>{t.missingWhat}</Empty>
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
    </>
  );
}

function Waiting({ id }: { id: string | null }) {
  const t = useTexts();
  return (
    <>
      <CounterTiles figures={null} simulation={null} live />
      <Empty title={id ? t.reading : t.none}>{!id && t.choose}</Empty>
    </>
  );
}
