import type { SimulatorMessages } from "@/messages/simulator/en";
import type { RunResult, Simulation } from "./api/client";
import { count, milliseconds, rate, time } from "./format";
import { behindOf } from "./simulation";

const WIDTH = 900,
  ROW = 74,
  HEAD = 96,
  FOOT = 36,
  BAR = 520;
const escaped = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
const text = (x: number, y: number, content: string, more = "") =>
  `<text x="${x}" y="${y}" ${more}>${escaped(content)}</text>`;

/** Return the report of a finished simulation as one SVG: self-contained, in light colours, without scripts. */
export function reportSvg(simulation: Simulation, texts: SimulatorMessages): string {
  const t = texts.report;
  const { runs, stock, buyers } = simulation;
  const height = HEAD + ROW * Math.max(1, runs.length) + FOOT;
  const most = Math.max(1, stock, ...runs.map((run) => stock + run.inventory_oversold));
  const rows = runs.map((run, at) => row(run, texts, HEAD + at * ROW, stock, BAR / most));
  const size = `width="${WIDTH}" height="${height}"`;
  const style = 'font-family="system-ui, sans-serif" font-size="13" fill="#17181c"';
  const origin = t.origin(texts.statuses[simulation.status], simulation.environment, time(simulation.created_at));
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} viewBox="0 0 ${WIDTH} ${height}" ${style}>
<rect ${size} fill="#ffffff"/>
${text(32, 42, t.title(count(buyers), count(stock)), 'font-size="22" font-weight="600"')}
${text(32, 66, origin, 'fill="#5a5c66"')}
${rows.join("\n") || text(32, HEAD + 24, t.none)}
${text(32, height - 16, simulation.id, 'font-size="11" fill="#5a5c66"')}
</svg>
`;
}

function row(run: RunResult, { report: t, behind }: SimulatorMessages, y: number, stock: number, unit: number): string {
  const within = Math.min(stock, run.successful_locks) * unit;
  const over = run.inventory_oversold;
  return [
    `<line x1="32" x2="${WIDTH - 32}" y1="${y}" y2="${y}" stroke="#e2e2e7"/>`,
    text(32, y + 26, run.strategy, 'font-weight="600"'),
    text(32, y + 46, t.rate(rate(run.requests_per_second)), 'fill="#5a5c66"'),
    text(32, y + 64, t.behind(behindOf(run, behind)), 'font-size="11" fill="#5a5c66"'),
    `<rect x="200" y="${y + 14}" width="${within}" height="16" fill="#126c3a"/>`,
    over ? `<rect x="${200 + within}" y="${y + 14}" width="${over * unit}" height="16" fill="#b3171f"/>` : "",
    text(
      200,
      y + 50,
      t.figures(
        count(run.total_requests),
        count(run.successful_locks),
        milliseconds(run.avg_latency_ms),
        milliseconds(run.p99_ms),
      ),
      'fill="#5a5c66"',
    ),
    text(
      WIDTH - 32,
      y + 27,
      t.oversold(count(over)),
      `text-anchor="end" font-weight="600" fill="${over ? "#b3171f" : "#126c3a"}"`,
    ),
  ]
    .filter(Boolean)
    .join("\n");
}
