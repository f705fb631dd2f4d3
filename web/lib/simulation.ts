import type { Counters, LogLine, RunResult, SeriesPoint, Simulation, SimulationEvents, Strategy } from "./api/client";

export type Level = LogLine["level"];
/** The bounds of the service. */
export const MOST_LINES = 1_000;
export const MOST_POINTS = 20_000;

type SimulationEvent = { [Name in keyof SimulationEvents]: [Name, SimulationEvents[Name]] }[keyof SimulationEvents];

export const isOver = (simulation: Pick<Simulation, "status">) =>
  simulation.status === "finished" || simulation.status === "stopped" || simulation.status === "failed";

/** Return the simulation after an event. The event `simulation` carries all of it and replaces the old one. */
export function fold(old: Simulation | null, ...[name, data]: SimulationEvent): Simulation | null {
  if (name === "simulation") return data;
  if (!old || name === "ping") return old;
  const status = old.status === "starting" ? "running" : old.status;
  if (name === "log") return { ...old, status, log: [...old.log, data].slice(0, MOST_LINES) };
  if (name === "run") return { ...old, status, runs: [...old.runs, data] };
  return {
    ...old,
    status,
    counters: data,
    series: [...old.series, pointBetween(old.counters, data)].slice(0, MOST_POINTS),
  };
}

/** Return the increase since the last counters, so that the points add up to the totals. */
function pointBetween(before: Counters | null, now: Counters): SeriesPoint {
  const { strategy, at_ms, total_requests, successful_locks } = now;
  if (!before || before.strategy !== strategy)
    return { strategy, at_ms, requests: total_requests, locks: successful_locks };
  return {
    strategy,
    at_ms,
    requests: total_requests - before.total_requests,
    locks: successful_locks - before.successful_locks,
  };
}

export type Figures = Pick<
  RunResult,
  "total_requests" | "successful_locks" | "inventory_oversold" | "avg_latency_ms"
> & { run: RunResult | null };

/** Return one strategy's four figures: its result, or the counters so far while it runs. */
export function figuresOf(simulation: Simulation, strategy: string): Figures | null {
  const run = simulation.runs.find((run) => run.strategy === strategy) ?? null;
  if (run) return { ...run, run };
  const { counters } = simulation;
  return counters?.strategy === strategy ? { ...counters, run: null } : null;
}

/** Return the strategy that runs now or ran last. */
export const currentOf = (simulation: Simulation): string =>
  simulation.counters?.strategy ?? simulation.runs.at(-1)?.strategy ?? simulation.strategies[0] ?? "";

export function linesOf(log: LogLine[], level: Level | "all", search: string): LogLine[] {
  const wanted = search.trim().toLowerCase();
  return log.filter(
    (line) => (level === "all" || line.level === level) && (!wanted || line.text.toLowerCase().includes(wanted)),
  );
}

/** Return the series as columns. A null between two strategies makes the chart show a gap. */
export function columnsOf(series: SeriesPoint[]): {
  seconds: number[];
  requests: (number | null)[];
  locks: (number | null)[];
  starts: { strategy: string; from: number; to: number }[];
} {
  const seconds: number[] = [],
    requests: (number | null)[] = [],
    locks: (number | null)[] = [];
  const starts: { strategy: string; from: number; to: number }[] = [];
  for (const point of series) {
    const at = point.at_ms / 1000;
    const segment = starts.at(-1);
    if (segment?.strategy === point.strategy) segment.to = at;
    else {
      if (segment) {
        seconds.push((segment.to + at) / 2);
        requests.push(null);
        locks.push(null);
      }
      starts.push({ strategy: point.strategy, from: at, to: at });
    }
    seconds.push(at);
    requests.push(point.requests);
    locks.push(point.locks);
  }
  return { seconds, requests, locks, starts };
}

type BehindLane = Extract<Strategy, `${string}+lane`>;
export type Plain = Exclude<Strategy, BehindLane>;
const isBehindLane = (name: Strategy): name is BehindLane => name.endsWith("+lane");

/** Return the strategies without those behind the lane. */
export const plainOf = (strategies: Strategy[]): Plain[] =>
  strategies.filter((name): name is Plain => !isBehindLane(name));

/** Return these strategies, and after each rival the same one behind FlashGuard's lane. */
export const withLane = (strategies: Plain[]): Strategy[] =>
  strategies.flatMap((name) => (name === "flashguard" ? [name] : [name, `${name}+lane` as const]));

/** Return what answers a strategy's HTTP requests, by its name. */
export const behindOf = (run: RunResult, names: Record<NonNullable<RunResult["behind"]>, string>): string =>
  run.behind ? names[run.behind] : "–";
