"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { Play } from "lucide-react";
import { api, bearer, type Simulation, type System } from "@/lib/api/client";
import { count } from "@/lib/format";
import { isOver, plainOf, withLane, type Plain } from "@/lib/simulation";
import { useAdminKey } from "@/lib/key-store";
import { useAction } from "@/lib/use-action";
import { Curl } from "../curl";
import { ActionMessage, Panel } from "../ui";
import { useTexts } from "./texts";

const BUYERS = [1_000, 10_000, 20_000];
const USUAL: Plain[] = ["naive", "flashguard"];

export function Setup({ last, system }: { last: Simulation | null; system: System | null }) {
  const { setup: t, strategies: explained } = useTexts();
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
      ? t.off
      : !key
        ? t.needsKey
        : running
          ? t.onlyOne
          : !strategies.length
            ? t.chooseOne
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
        return t.started;
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
    <Panel title={t.title}>
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          if (!blocked) start();
        }}
      >
        <div className="grid grid-cols-2 gap-3">
          <label className="label">
            {t.buyers}
            <input
              className="field"
              type="number"
              min={1}
              max={maxBuyers}
              value={buyers || ""}
              onChange={(event) => setBuyers(event.target.valueAsNumber || 0)}
              required
            />
            <small>{t.atMost(count(maxBuyers))}</small>
          </label>
          <label className="label">
            {t.stock}
            <input
              className="field"
              type="number"
              min={0}
              max={1_000_000}
              value={Number.isNaN(stock) ? "" : stock}
              onChange={(event) => setStock(event.target.valueAsNumber)}
              required
            />
            <small>{t.onSale}</small>
          </label>
        </div>
        <div className="-mt-2 flex gap-2">
          {BUYERS.filter((number) => number <= maxBuyers).map((number) => (
            <button
              key={number}
              type="button"
              className="btn btn-small"
              aria-label={t.people(count(number))}
              onClick={() => setBuyers(number)}
            >
              {count(number)}
            </button>
          ))}
        </div>
        <fieldset className="grid gap-1">
          <legend className="mb-1 font-medium">{t.strategies}</legend>
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
                  {explained[name]}
                </span>
              </span>
            </label>
          ))}
          <p className="text-xs text-soft">{t.rivals}</p>
          <label className="-mx-2 flex cursor-pointer items-center gap-2.5 rounded-md px-2 py-1 hover:bg-raised">
            <input
              type="checkbox"
              className="size-3.5 accent-[var(--info)]"
              checked={lane}
              onChange={() => setLane(!lane)}
              aria-label={t.lane}
            />
            <span className="font-medium">{t.lane}</span>
          </label>
        </fieldset>
        <div className="grid gap-2">
          <button className="btn btn-main w-full" disabled={!!blocked || busy} aria-describedby="why-not">
            <Play size={14} aria-hidden />
            {busy ? t.starting : t.start}
          </button>
          <p id="why-not" className="text-xs text-soft empty:hidden">
            {blocked}
          </p>
          <ActionMessage result={result} />
          {other && (
            <p>
              <a className="link" href={`/simulator/?id=${other}`}>
                {t.watch}
              </a>
            </p>
          )}
        </div>
      </form>
      <Curl method="POST" path="/v1/simulations" body={body} admin />
    </Panel>
  );
}
