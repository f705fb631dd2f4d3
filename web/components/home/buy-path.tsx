"use client";

import { ChevronDown, ChevronRight } from "lucide-react";
import type { Component, System } from "@/lib/api/client";
import { count, milliseconds } from "@/lib/format";
import { useMessages } from "@/lib/language";
import type { Messages } from "@/messages/en";
import { Curl } from "../curl";
import { Panel, Pill } from "../ui";

const STATIONS = [
  ["api", "API"],
  ["memory", "Valkey / Redis"],
  ["recorder", "Recorder"],
  ["ledger", "PostgreSQL"],
  ["live", "Live"],
] as const;

export function componentFigures(component: Component | undefined, t: Messages["home"]): string[] {
  if (!component) return [];
  return [
    component.version,
    component.latency_ms != null && milliseconds(component.latency_ms),
    component.lag_entries != null && t.lag(count(component.lag_entries)),
    component.partitions != null && t.partitions(component.partitions, count(component.partitions)),
    component.viewers != null && t.viewers(count(component.viewers)),
  ].filter((text): text is string => typeof text === "string");
}

/** The path of a buy through the components, each with its current state and figures. */
export function BuyPath({ system, lost }: { system: System | null; lost: boolean }) {
  const t = useMessages().home;
  return (
    <Panel
      title={t.path}
      aside={
        system && (
          <span className="text-xs text-soft">
            {t.version(system.version)} · {system.mode} · {system.environment}
          </span>
        )
      }
    >
      <ol className="grid grid-cols-[minmax(0,1fr)] gap-6 lg:grid-cols-5">
        {STATIONS.map(([name, title], at) => (
          <li key={name} className="relative rounded-md border border-line bg-page p-3">
            <div className="flex items-center justify-between gap-2">
              <strong className="font-semibold">{title}</strong>
              <StatusPill component={system?.components[name]} lost={lost} />
            </div>
            <p className="mt-1 text-soft">{t.stations[name]}</p>
            <p className={`mt-2 min-h-5 font-mono text-xs ${lost ? "stale" : ""}`}>
              {componentFigures(system?.components[name], t).join(" · ")}
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
        {t.answered(
          <strong lang="en" className="font-medium text-ink">
            confirmed
          </strong>,
        )}
      </p>
      <Curl path="/v1/system" />
    </Panel>
  );
}

function StatusPill({ component, lost }: { component: Component | undefined; lost: boolean }) {
  const t = useMessages().home.componentStates;
  const status = lost ? "stale" : (component?.status ?? "unknown");
  return <Pill tone={status === "ok" ? "good" : status === "unavailable" ? "bad" : "warn"}>{t[status]}</Pill>;
}
