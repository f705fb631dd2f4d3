"use client";

import { useEffect, useState } from "react";
import { api, type Component, type System } from "@/lib/api/client";
import { count, milliseconds } from "@/lib/format";
import { Curl } from "./curl";
import { Banner, Panel, Pill } from "./parts";

const EVERY_MS = 3000;
const WAY = [["api", "API", "compute", "collects clicks into batches"], ["memory", "Valkey / Redis", "concurrency", "decides in one unbreakable step"],
  ["recorder", "Recorder", "data", "writes the journal down in order"], ["ledger", "PostgreSQL", "data", "the final truth, and the last guard"], ["live", "Live view", "delivery", "shows every change"]] as const;
const RULES = ["A unit is given only while stock − held − sold > 0.", "The same item on two lines adds up before the check.", "A key has one outcome: a repeat gets the first answer.",
  "Each customer stays within the sale's limit.", "Nobody hears sold-out while an ended hold can be taken back.", "Check, decrement and journal entry are one step."];

export function Home() {
  const [system, setSystem] = useState<System | null>(null);
  const [lost, setLost] = useState(false);
  const [script, setScript] = useState("");
  useEffect(() => {
    let gone = false;
    async function look() {
      if (document.hidden) return;
      const { data } = await api.GET("/v1/system", { signal: AbortSignal.timeout(5000) }).catch(() => ({ data: undefined }));
      if (gone) return;
      if (data) setSystem(data);
      setLost(!data);
    }
    void look();
    const timer = setInterval(() => void look(), EVERY_MS);
    void api.GET("/v1/kernel/scripts/{name}", { params: { path: { name: "reserve_stock" } } }).then(({ data }) => { if (data && !gone) setScript(data.source); }, () => {});
    return () => { gone = true; clearInterval(timer); };
  }, []);
  return (
    <>
      <h1 className="text-xl font-semibold">One unit, ten thousand buyers, no overselling</h1>
      <Banner connection={lost ? "lost" : "live"} />
      <div className="grid gap-4 md:grid-cols-3">
        <Panel title="The race"><pre>{"A reads 1 ──┐\nB reads 1 ──┤ both see one unit\nA writes 0  │\nB writes −1 ┘ oversold"}</pre></Panel>
        <Panel title="The row lock"><pre>{"A holds the row\nB … Z wait in line\neach keeps a connection\npool exhausted: nobody buys"}</pre></Panel>
        <Panel title="FlashGuard"><pre>{"A … Z ─▶ one batch ─▶ one script\nA held, B … Z sold-out\njournal ─▶ one transaction\nno lock, no queue of locks"}</pre></Panel>
      </div>
      <Panel title="The data's way" aside={system && <span className="text-soft">version {system.version} · {system.mode} · {system.environment}</span>}>
        <ol className="grid gap-3 sm:grid-cols-2 lg:grid-cols-5">
          {WAY.map(([name, title, layer, does]) => <Box key={name} title={title} layer={layer} does={does} lost={lost} state={system?.components[name]} />)}
        </ol>
        <Curl path="/v1/system" />
      </Panel>
      <Panel title="reserve_stock.lua, as the running kernel has it">
        <div className="grid gap-4 lg:grid-cols-[minmax(0,2fr)_minmax(0,1fr)]">
          <pre className="max-h-96 overflow-auto rounded border border-line p-3" tabIndex={0} role="region" aria-label="Source of reserve_stock.lua">{script || "Not read yet."}</pre>
          <ul className="grid content-start gap-2">{RULES.map((rule) => <li key={rule} className="border-l border-line pl-3">{rule}</li>)}</ul>
        </div>
      </Panel>
    </>
  );
}

function Box({ title, layer, does, state, lost }: { title: string; layer: string; does: string; state?: Component; lost: boolean }) {
  const status = lost ? "stale" : (state?.status ?? "unknown");
  return (
    <li className="rounded border border-line p-3">
      <div className="flex justify-between gap-2"><strong>{title}</strong><Pill tone={status === "ok" ? "good" : status === "unavailable" ? "bad" : "warn"}>{status}</Pill></div>
      <p className="text-soft">{layer}: {does}</p>
      <p className={lost ? "stale" : ""}>{[state?.version, state?.latency_ms != null && milliseconds(state.latency_ms), state?.lag_entries != null && `lag ${count(state.lag_entries)} entries`, state?.viewers != null && `${count(state.viewers)} viewers`].filter(Boolean).join(" · ")}</p>
    </li>
  );
}
