"use client";

import { useEffect, useRef, useState } from "react";
import type { LogLine } from "@/lib/api/client";
import { count, seconds } from "@/lib/format";
import { linesOf, type Level } from "@/lib/simulation";
import { Choice, Panel, Pill } from "../ui";
import { useTexts } from "./texts";

const LEVELS = ["all", "info", "warning", "error"] as const;
const COLORS: Record<Level, string> = { info: "text-soft", warning: "text-warn", error: "text-bad" };

/** The simulation's log. It scrolls to the newest line until it is paused or scrolled up. */
export function LogConsole({ log, live }: { log: LogLine[]; live: boolean }) {
  const t = useTexts().log;
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
      title={t.title}
      aside={
        <div className="flex flex-wrap items-center gap-2">
          {live && (
            <Pill tone="good" busy>
              {t.live}
            </Pill>
          )}
          <Choice
            label={t.level}
            options={LEVELS.map((name) => [name, t.shown[name]] as const)}
            value={level}
            onChange={setLevel}
          />
          <input
            className="field !min-h-[30px] !w-40 !py-0.5"
            type="search"
            placeholder={t.search}
            aria-label={t.search}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <button type="button" className="btn btn-small" aria-pressed={!follows} onClick={() => setFollows(!follows)}>
            {follows ? t.pause : t.follow}
          </button>
        </div>
      }
    >
      <div
        ref={box}
        role="log"
        aria-live="off"
        aria-label={t.lines}
        tabIndex={0}
        onWheel={(event) => {
          if (event.deltaY < 0) setFollows(false);
        }}
        className="h-56 overflow-auto rounded-md border border-line bg-page px-3 py-2 font-mono text-xs leading-5"
      >
        {lines.map((line, at) => (
          <p
            key={at}
            className="grid grid-cols-[3.5rem_3.75rem_minmax(0,1fr)] sm:grid-cols-[4.5rem_4.5rem_minmax(0,1fr)] gap-2"
          >
            <span className="text-right text-soft">{seconds(line.at_ms)}</span>
            <span className={`${COLORS[line.level]} font-medium uppercase`}>{t.levels[line.level]}</span>
            {/* The service writes its log in English. */}
            <span lang="en" className={line.level === "info" ? "" : COLORS[line.level]}>
              {line.text}
            </span>
          </p>
        ))}
        {!lines.length && <p className="text-soft">{log.length ? t.noMatch : t.notYet}</p>}
      </div>
      <p className="mt-2 text-xs text-soft">{t.linesOf(count(lines.length), count(log.length))}</p>
    </Panel>
  );
}
