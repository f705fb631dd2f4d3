"use client";

import { ChevronDown, ChevronRight } from "lucide-react";
import type { Component, System } from "@/lib/api/client";
import { count, milliseconds } from "@/lib/format";
import { Curl } from "../curl";
import { Panel, Pill } from "../parts";

const WAY = [
  ["api", "API", "collects the clicks that come together"],
  ["memory", "Valkey / Redis", "decides: check, decrement, journal entry"],
  ["recorder", "Recorder", "writes the journal down, in order, in groups"],
  ["ledger", "PostgreSQL", "the final truth, and the last guard"],
  ["live", "Live view", "shows every change within 100 ms"],
] as const;

export function figuresOf(part: Component | undefined): string[] {
  if (!part) return [];
  return [
    part.version,
    part.latency_ms != null && milliseconds(part.latency_ms),
    part.lag_entries != null && `lag ${count(part.lag_entries)} entries`,
    part.partitions != null && `${count(part.partitions)} partitions`,
    part.viewers != null && `${count(part.viewers)} viewers`,
  ].filter((text): text is string => typeof text === "string");
}

/** The architecture as a click goes through it; every box is the real part, as it is now. */
export function DataWay({ system, lost }: { system: System | null; lost: boolean }) {
  return (
    <Panel
      title="The data’s way, live"
      aside={
        system && (
          <span className="text-xs text-soft">
            version {system.version} · {system.mode} · {system.environment}
          </span>
        )
      }
    >
      <ol className="grid grid-cols-[minmax(0,1fr)] gap-6 lg:grid-cols-5">
        {WAY.map(([name, title, does], at) => (
          <li key={name} className="relative rounded-md border border-line bg-page p-3">
            <div className="flex items-center justify-between gap-2">
              <strong className="font-semibold">{title}</strong>
              <State part={system?.components[name]} lost={lost} />
            </div>
            <p className="mt-1 text-soft">{does}</p>
            <p className={`mt-2 min-h-5 font-mono text-xs ${lost ? "stale" : ""}`}>
              {figuresOf(system?.components[name]).join(" · ")}
            </p>
            {system?.components[name].detail && (
              <p className="mt-1 text-xs text-bad">{system.components[name].detail}</p>
            )}
            {at < WAY.length - 1 && (
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
        A buy waits for its own entry: when the recorder announces that it is in PostgreSQL, the API answers{" "}
        <strong className="font-medium text-ink">confirmed</strong>. A hold is answered as soon as its journal entry is
        on disk.
      </p>
      <Curl path="/v1/system" />
    </Panel>
  );
}

function State({ part, lost }: { part: Component | undefined; lost: boolean }) {
  const status = lost ? "stale" : (part?.status ?? "unknown");
  return <Pill tone={status === "ok" ? "good" : status === "unavailable" ? "bad" : "warn"}>{status}</Pill>;
}
