"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { Play } from "lucide-react";
import { api, bearer, type Simulation, type System } from "@/lib/api/client";
import { count } from "@/lib/format";
import { isOver, plainOf, STRATEGY_DESCRIPTIONS, withLane, type Plain } from "@/lib/simulation";
import { useAdminKey } from "@/lib/key-store";
import { useAction } from "@/lib/use-action";
import { Curl } from "../curl";
import { ActionMessage, Panel } from "../ui";

const BUYERS = [1_000, 10_000, 20_000];
const USUAL: Plain[] = ["naive", "flashguard"];

export function Setup({ last, system }: { last: Simulation | null; system: System | null }) {
  const key = useAdminKey();
  const [buyers, setBuyers] = useState(last?.buyers ?? 10_000);
  const [stock, setStock] = useState(last?.stock ?? 100);
  const [strategies, setStrategies] = useState<Plain[]>(last ? plainOf(last.strategies) : USUAL);
  const [lane, setLane] = useState(last?.strategies.some((name) => name.endsWith("+lane")) ?? false);
  const [other, setOther] = useState("");
  const router = useRouter();
  const { busy, result, act } = useAction();
  const offered = system?.simulations;
  const running = last !== null && !isOver(last);
  const body = { buyers, stock, strategies: lane ? withLane(strategies) : strategies };
  const maxBuyers = offered?.max_buyers ?? 20_000;
  const blocked =
    offered && !offered.enabled
      ? "Simulations are off here. Set FLASHGUARD_SIMULATIONS=true to turn them on."
      : !key
        ? "Start needs the admin key."
        : running
          ? "Only one simulation can run at a time. This one is still running."
          : !strategies.length
            ? "Choose at least one strategy."
            : "";

  function start() {
    setOther("");
    void act({
      name: "start-simulation",
      content: body,
      call: ({ headers, signal }) =>
        api.POST("/v1/simulations", { headers: { ...bearer(key), ...headers }, signal, body }),
      done: (simulation) => {
        void router.push(`/simulator/?id=${simulation.id}`);
        return "Started.";
      },
      refused: (problem) => {
        if (problem?.code === "request-in-flight") void findOther();
      },
    });
  }
  async function findOther() {
    const { data } = await api.GET("/v1/simulations", { headers: bearer(key) }).catch(() => ({ data: undefined }));
    setOther(data?.data.find((simulation) => !isOver(simulation))?.id ?? "");
  }
  const choices = offered ? plainOf(offered.strategies) : USUAL;
  const toggle = (name: Plain) =>
    setStrategies((old) =>
      choices.filter((strategy) => (strategy === name ? !old.includes(strategy) : old.includes(strategy))),
    );
  return (
    <Panel title="New simulation">
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!blocked) start();
        }}
      >
        <div className="grid grid-cols-2 gap-3">
          <label className="label">
            Buyers
            <input
              className="field"
              type="number"
              min={1}
              max={maxBuyers}
              value={buyers || ""}
              onChange={(event) => setBuyers(event.target.valueAsNumber || 0)}
              required
            />
            <small>at most {count(maxBuyers)}</small>
          </label>
          <label className="label">
            Stock
            <input
              className="field"
              type="number"
              min={0}
              max={1_000_000}
              value={Number.isNaN(stock) ? "" : stock}
              onChange={(event) => setStock(event.target.valueAsNumber)}
              required
            />
            <small>units on sale</small>
          </label>
        </div>
        <div className="-mt-2 flex gap-2">
          {BUYERS.filter((number) => number <= maxBuyers).map((number) => (
            <button
              key={number}
              type="button"
              className="btn btn-small"
              aria-label={`${count(number)} people`}
              onClick={() => setBuyers(number)}
            >
              {count(number)}
            </button>
          ))}
        </div>
        <fieldset className="grid gap-1">
          <legend className="mb-1 font-medium">Strategies</legend>
          {choices.map((name) => (
            <label
              key={name}
              className="-mx-2 flex cursor-pointer items-start gap-2.5 rounded-md px-2 py-1 hover:bg-raised"
            >
              <input
                type="checkbox"
                className="mt-1 size-3.5 accent-[var(--info)]"
                checked={strategies.includes(name)}
                onChange={() => toggle(name)}
                aria-describedby={`description-${name}`}
                aria-label={name}
              />
              <span className="min-w-0">
                <span className="font-medium">{name}</span>
                <span id={`description-${name}`} className="block text-xs text-soft">
                  {STRATEGY_DESCRIPTIONS[name]}
                </span>
              </span>
            </label>
          ))}
          <p className="text-xs text-soft">
            Each rival runs behind FastAPI, as a competent engineer would write it; flashguard behind its own lane.
          </p>
          <label className="-mx-2 flex cursor-pointer items-center gap-2.5 rounded-md px-2 py-1 hover:bg-raised">
            <input
              type="checkbox"
              className="size-3.5 accent-[var(--info)]"
              checked={lane}
              onChange={() => setLane(!lane)}
              aria-label="Rivals behind the lane too"
            />
            <span className="font-medium">Rivals behind the lane too</span>
          </label>
        </fieldset>
        <div className="grid gap-2">
          <button className="btn btn-main w-full" disabled={!!blocked || busy} aria-describedby="why-not">
            <Play size={14} aria-hidden />
            {busy ? "Starting…" : "Start"}
          </button>
          <p id="why-not" className="text-xs text-soft empty:hidden">
            {blocked}
          </p>
          <ActionMessage result={result} />
          {other && (
            <p>
              <a className="link" href={`/simulator/?id=${other}`}>
                Watch the running simulation
              </a>
            </p>
          )}
        </div>
      </form>
      <Curl method="POST" path="/v1/simulations" body={body} admin />
    </Panel>
  );
}
