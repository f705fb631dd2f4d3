"use client";

import { ChevronDown, ChevronRight } from "lucide-react";
import type { Component, System } from "@/lib/api/client";
import { count, milliseconds } from "@/lib/format";
import { Curl } from "../curl";
import { Panel, Pill } from "../ui";

const STATIONS = [
  ["api", "API", "groups simultaneous requests into batches"],
  ["memory", "Valkey / Redis", "decides: checks, decrements, writes the journal"],
  ["recorder", "Recorder", "copies the journal to the ledger, in order"],
  ["ledger", "PostgreSQL", "the source of truth; refuses to oversell"],
  ["live", "Live view", "shows every change within 100 ms"],
] as const;

export function componentFigures(component: Component | undefined): string[] {
  if (!component) return [];
  return [
    component.version,
    component.latency_ms != null && milliseconds(component.latency_ms),
    component.lag_entries != null && `lag ${count(component.lag_entries)} entries`,
    component.partitions != null && `${count(component.partitions)} partitions`,
    component.viewers != null && `${count(component.viewers)} viewers`,
  ].filter((text): text is string => typeof text === "string");
}

/** The path of a buy through the components, each with its current state and figures. */
export function BuyPath({ system, lost }: { system: System | null; lost: boolean }) {
  return (
    <Panel
      title="The path of a buy, live"
      aside={
        system && (
          <span className="text-xs text-soft">
            version {system.version} · {system.mode} · {system.environment}
          </span>
        )
      }
    >
      <ol className="grid grid-cols-[minmax(0,1fr)] gap-6 lg:grid-cols-5">
        {STATIONS.map(([name, title, does], at) => (
          <li key={name} className="relative rounded-md border border-line bg-page p-3">
            <div className="flex items-center justify-between gap-2">
              <strong className="font-semibold">{title}</strong>
              <StatusPill component={system?.components[name]} lost={lost} />
            </div>
            <p className="mt-1 text-soft">{does}</p>
            <p className={`mt-2 min-h-5 font-mono text-xs ${lost ? "stale" : ""}`}>
              {componentFigures(system?.components[name]).join(" · ")}
            </p>
            {system?.components[name].detail && (
              <p className="mt-1 text-xs text-bad">{system.components[name].detail}</p>
            )}
            {at < STATIONS.length - 1 && (
              <>
                <ChevronRight
                  aria-hidden
                  size={16}
                  className="absolute top-1/2 -right-5 hidden -translate-y-1/2 text-soft lg:block"
                />
                <ChevronDown
                  aria-hidden
                  size={16}
                  className="absolute -bottom-5 left-1/2 -translate-x-1/2 text-soft lg:hidden"
                />
              </>
            )}
          </li>
        ))}
      </ol>
      <p className="mt-4 text-soft">
        A buy waits for its own journal entry: once the recorder has committed it to PostgreSQL, the API answers{" "}
        <strong className="font-medium text-ink">confirmed</strong>. A hold is answered once its entry is on disk.
      </p>
      <Curl path="/v1/system" />
    </Panel>
  );
}

function StatusPill({ component, lost }: { component: Component | undefined; lost: boolean }) {
  const status = lost ? "stale" : (component?.status ?? "unknown");
  return <Pill tone={status === "ok" ? "good" : status === "unavailable" ? "bad" : "warn"}>{status}</Pill>;
}
