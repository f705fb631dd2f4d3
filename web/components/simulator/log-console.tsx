"use client";

import { useEffect, useRef, useState } from "react";
import type { LogLine } from "@/lib/api/client";
import { count, seconds } from "@/lib/format";
import { linesOf, type Level } from "@/lib/simulation";
import { Choice, Panel, Pill } from "../ui";

const LEVELS = [
  ["all", "All"],
  ["info", "Info"],
  ["warning", "Warnings"],
  ["error", "Errors"],
] as const;
const COLORS: Record<Level, string> = { info: "text-soft", warning: "text-warn", error: "text-bad" };

/** The simulation's log. It scrolls to the newest line until it is paused or scrolled up. */
export function LogConsole({ log, live }: { log: LogLine[]; live: boolean }) {
  const [level, setLevel] = useState<Level | "all">("all");
  const [search, setSearch] = useState("");
  const [follows, setFollows] = useState(true);
  const box = useRef<HTMLDivElement>(null);
  const lines = linesOf(log, level, search);
  useEffect(() => {
    if (follows && box.current) box.current.scrollTop = box.current.scrollHeight;
  }, [follows, lines.length]);
  return (
    <Panel
      title="Log"
      aside={
        <div className="flex flex-wrap items-center gap-2">
          {live && (
            <Pill tone="good" busy>
              live
            </Pill>
          )}
          <Choice label="Level" options={LEVELS} value={level} onChange={setLevel} />
          <input
            className="field !min-h-[30px] !w-40 !py-0.5"
            type="search"
            placeholder="Search the log"
            aria-label="Search the log"
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <button type="button" className="btn btn-small" aria-pressed={!follows} onClick={() => setFollows(!follows)}>
            {follows ? "Pause autoscroll" : "Follow the log"}
          </button>
        </div>
      }
    >
      <div
        ref={box}
        role="log"
        aria-live="off"
        aria-label="Log lines"
        tabIndex={0}
        onWheel={(event) => {
          if (event.deltaY < 0) setFollows(false);
        }}
        className="h-56 overflow-auto rounded-md border border-line bg-page px-3 py-2 font-mono text-xs leading-5"
      >
        {lines.map((line, at) => (
          <p
            key={at}
            className="grid grid-cols-[3rem_3.75rem_minmax(0,1fr)] sm:grid-cols-[4.5rem_4.5rem_minmax(0,1fr)] gap-2"
          >
            <span className="text-right text-soft">{seconds(line.at_ms)}</span>
            <span className={`${COLORS[line.level]} font-medium uppercase`}>{line.level}</span>
            <span className={line.level === "info" ? "" : COLORS[line.level]}>{line.text}</span>
          </p>
        ))}
        {!lines.length && (
          <p className="text-soft">
            {log.length
              ? "No line matches. Clear the search or choose another level."
              : "The first lines appear when the simulation starts."}
          </p>
        )}
      </div>
      <p className="mt-2 text-xs text-soft">
        {count(lines.length)} of {count(log.length)} lines
      </p>
    </Panel>
  );
}
