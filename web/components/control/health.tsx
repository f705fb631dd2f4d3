"use client";

import { api, exact, type Component, type Ready } from "@/lib/api/client";
import { count, duration, milliseconds, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { useRead } from "@/lib/use-read";
import { useSystem } from "@/lib/use-system";
import { Copy, Curl } from "../curl";
import { Banner, Panel, Pill, Scroll, Stat, Text, type Tone } from "../ui";
import { useTexts } from "./texts";

const TONES: Record<Component["status"], Tone> = {
  ok: "good",
  degraded: "warn",
  recovering: "warn",
  unavailable: "bad",
};
const EVERY_MS = 3_000;
/** What the CLI answers and HTTP does not. */
const COMMANDS = ["doctor", "audit", "recover", "metrics"] as const;
const COMMAND: Record<(typeof COMMANDS)[number], string> = {
  doctor: "flashguard doctor",
  audit: "flashguard audit",
  recover: "flashguard recover",
  metrics: 'curl -H "Authorization: Bearer $FLASHGUARD_ADMIN_KEY" http://127.0.0.1:8000/metrics',
};

/** The state of each component, whether buyers can be served, and the recorders. */
export function Health() {
  const { home } = useMessages();
  const t = useTexts().health;
  const { system, lost } = useSystem();
  const ready = useRead(
    "ready",
    async (signal) => {
      const answer = await api.GET("/readyz", { signal });
      // A 503 has the same body: it says which component cannot serve.
      return { ...answer, data: exact<Ready>((answer.data ?? answer.error) as never) };
    },
    EVERY_MS,
  );
  const recorder = system?.components.recorder;
  const parts = system ? (Object.entries(system.components) as [keyof typeof system.components, Component][]) : [];
  const state = ready.data?.status ?? null;
  return (
    <>
      <Banner connection={lost ? "lost" : "live"} />
      <div className="grid grid-cols-2 gap-3 xl:grid-cols-4">
        <Stat
          label={t.buyers}
          value={state ? t.ready[state] : "–"}
          tone={state ? TONES[state] : undefined}
          stale={Boolean(ready.error)}
          hint={t.buyersHint}
        />
        <Stat
          label={t.lag}
          value={recorder?.lag_entries == null ? "–" : count(recorder.lag_entries)}
          tone={recorder && recorder.status !== "ok" ? "warn" : undefined}
          stale={lost}
          hint={recorder?.lag_seconds == null ? t.lagHint : t.lagSeconds(duration(recorder.lag_seconds * 1000))}
        />
        <Stat
          label={t.recorders}
          value={recorder?.recorders == null ? "–" : count(recorder.recorders)}
          stale={lost}
          hint={t.partitions(count(system?.partitions ?? 0))}
        />
        <Stat
          label={t.parked}
          value={recorder?.parked_transitions == null ? "–" : count(recorder.parked_transitions)}
          tone={recorder?.parked_transitions ? "bad" : undefined}
          stale={lost}
          hint={t.parkedHint}
        />
      </div>
      <Panel
        title={t.components}
        aside={
          system && (
            <span className="text-soft">
              FlashGuard {system.version}, {system.environment}, {system.mode}, {t.workers(count(system.workers))}
            </span>
          )
        }
      >
        <Scroll label={t.components} className={lost ? "stale" : ""}>
          <table className="table">
            <thead>
              <tr>
                <th>{t.component}</th>
                <th>{t.status}</th>
                <th>{t.version}</th>
                <th className="num">{t.answer}</th>
                <th>{t.detail}</th>
              </tr>
            </thead>
            <tbody>
              {parts.map(([name, part]) => (
                <tr key={name}>
                  <td className="font-medium">{t.names[name]}</td>
                  <td>
                    <Pill tone={TONES[part.status]}>{home.componentStates[part.status]}</Pill>
                  </td>
                  <td>{part.version ?? ""}</td>
                  <td className="num">{part.latency_ms == null ? "" : milliseconds(part.latency_ms)}</td>
                  <td className="!whitespace-normal">
                    <Details part={part} />
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
        <Curl path="/v1/system" admin />
      </Panel>
      <Panel title={t.more}>
        <p className="mb-3 text-soft">{t.moreWhat}</p>
        <ul className="grid gap-3">
          {COMMANDS.map((name) => (
            <li key={name} className="grid gap-1">
              <p>{t.commands[name]}</p>
              <div className="flex items-start gap-2 rounded-md bg-raised p-2">
                <pre className="min-w-0 flex-1 break-all whitespace-pre-wrap">{COMMAND[name]}</pre>
                <Copy text={COMMAND[name]} />
              </div>
            </li>
          ))}
        </ul>
      </Panel>
    </>
  );
}

/** What a component says beside its state: why it does not answer, and which partitions wait. */
function Details({ part }: { part: Component }) {
  const t = useTexts().health;
  const lists = [
    [t.away, part.away_partitions],
    [t.recovering, part.recovering_partitions],
    [t.stuck, part.stuck_partitions],
  ] as const;
  const last = part.last_recovery;
  return (
    <div className="grid gap-0.5">
      {part.detail && (
        <p lang="en" className="text-bad">
          <Text>{part.detail}</Text>
        </p>
      )}
      {lists.map(
        ([name, numbers]) =>
          numbers &&
          numbers.length > 0 && (
            <p key={name} className="text-warn">
              {name}: {numbers.join(", ")}
            </p>
          ),
      )}
      {part.recorder_partitions?.map((shares, at) => (
        <p key={at} className="text-soft">
          {t.share(count(at + 1), shares.join(", ") || "–")}
        </p>
      ))}
      {part.recoveries != null && part.recoveries > 0 && (
        <p className="text-soft">{t.rebuilds(count(part.recoveries))}</p>
      )}
      {last && (
        <p className="text-soft">
          {t.lastRebuild(count(last.partition), time(last.at), duration(last.seconds * 1000))}
        </p>
      )}
      {part.viewers != null && <p className="text-soft">{t.viewers(count(part.viewers))}</p>}
    </div>
  );
}
