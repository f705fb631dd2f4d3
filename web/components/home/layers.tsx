"use client";

import { Cpu, Database, Globe, Zap } from "lucide-react";
import type { System } from "@/lib/api/client";
import { count } from "@/lib/format";
import { en } from "@/messages/en";
import { Panel } from "../ui";
import { componentFigures } from "./buy-path";

const plural = (value: number, one: string, several: string) => `${count(value)} ${value === 1 ? one : several}`;

/** The technology of each layer, and what runs in it now. */
export function Layers({ system, lost }: { system: System | null; lost: boolean }) {
  const components = system?.components;
  const layers = [
    {
      name: "Compute",
      icon: Cpu,
      with: "Python, FastAPI on uvicorn; or AWS Lambda",
      does: "Accepts requests in any number of processes. None of them holds stock.",
      now: system ? [plural(system.workers, "worker", "workers"), system.environment] : [],
    },
    {
      name: "Concurrency",
      icon: Zap,
      with: "Valkey / Redis, Lua",
      does: "Decides a whole batch in one step. Scales by partitions.",
      now: system
        ? [...componentFigures(components?.memory, en.home), plural(system.partitions, "partition", "partitions")]
        : [],
    },
    {
      name: "Data",
      icon: Database,
      with: "PostgreSQL, or Supabase",
      does: "Stores orders and counters, committed in groups. A constraint refuses to oversell.",
      now: [
        ...componentFigures(components?.ledger, en.home),
        ...(components?.recorder.lag_entries != null
          ? [`${plural(components.recorder.lag_entries, "entry", "entries")} to write`]
          : []),
      ],
    },
    {
      name: "Delivery",
      icon: Globe,
      with: "Next.js static export, Server-Sent Events",
      does: "Pages with live figures, served by the API or any CDN.",
      now: components?.live.viewers != null ? [plural(components.live.viewers, "open stream", "open streams")] : [],
    },
  ];
  return (
    <Panel title="The stack, four layers">
      <ol className="grid gap-px overflow-hidden rounded-md border border-line bg-line">
        {layers.map(({ name, icon: Icon, with: stack, does, now }) => (
          <li
            key={name}
            className="grid items-center gap-x-4 gap-y-1 bg-panel p-3 md:grid-cols-[9rem_16rem_minmax(0,1fr)_auto]"
          >
            <h3 className="flex items-center gap-2 font-semibold">
              <Icon size={15} aria-hidden className="text-soft" />
              {name}
            </h3>
            <p className="font-medium">{stack}</p>
            <p className="text-soft">{does}</p>
            <p className={`font-mono text-xs md:text-right ${lost ? "stale" : ""}`}>
              {now.length ? now.join(" · ") : "–"}
            </p>
          </li>
        ))}
      </ol>
    </Panel>
  );
}
