export type Token = { kind: "comment" | "string" | "keyword" | "plain"; text: string };
const KEYWORDS =
  "and|break|do|else|elseif|end|false|for|function|if|in|local|nil|not|or|repeat|return|then|true|until|while";
const TOKEN = new RegExp(String.raw`(--.*$)|('(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|\b(${KEYWORDS})\b`, "g");

/** Split a line of Lua into the tokens that get colours. */
export function tokensOf(line: string): Token[] {
  const tokens: Token[] = [];
  let at = 0;
  for (const found of line.matchAll(TOKEN)) {
    if (found.index > at) tokens.push({ kind: "plain", text: line.slice(at, found.index) });
    tokens.push({ kind: found[1] ? "comment" : found[2] ? "string" : "keyword", text: found[0] });
    at = found.index + found[0].length;
  }
  if (at < line.length) tokens.push({ kind: "plain", text: line.slice(at) });
  return tokens;
}

export type Rule = { at: string; title: string; text: string; library?: boolean };

/** The rules of reserve_stock.lua, in the order of the file. `at` is the start of the line where a rule begins. */
export const RULES: Rule[] = [
  {
    at: "#!lua",
    title: "One step, unbreakable",
    text: "Valkey runs a script to its end before it looks at any other command. Nothing can come between the check and the decrement: a unit goes to one buyer.",
  },
  {
    at: "-- The partition:",
    title: "Shared library",
    text: "Fence and epoch, the clock, reading sales and items in one round.",
    library: true,
  },
  {
    at: "-- reclaim(",
    title: "Ended holds come back first",
    text: "A hold that ran out is somebody's chance. Before a buyer hears sold-out, holds past their deadline are taken back.",
  },
  {
    at: "local function flush",
    title: "One journal entry for the whole batch",
    text: "Counters, records and the entry are written in this same step. What memory decided is on its way to PostgreSQL, or it did not happen.",
    library: true,
  },
  {
    at: "-- shortage(",
    title: "A unit is given only while stock − held − sold > 0",
    text: "The same item on two lines adds up before the check. A basket is all or nothing.",
  },
  {
    at: "-- lacks(",
    title: "A limit per customer, and no false sold-out",
    text: "The check is repeated after every page of holds taken back. Too many to look at is answered overloaded, never sold-out.",
  },
  {
    at: "local refusal = closed()",
    title: "No memory is closed, not empty",
    text: "A fenced partition, a lost history or a missing key answers recovering: never zero units, never unlimited ones.",
  },
  {
    at: "local wants",
    title: "Many clicks, one call",
    text: "The batch reads all that it needs at once, and each request then decides in turn, in the order it came.",
  },
  {
    at: "local record = sale.records[id]",
    title: "A key has one outcome",
    text: "The same request again gets the first answer. The same key with another body is refused.",
  },
  {
    at: "local config = sale.config",
    title: "The sale's own clock",
    text: "Opening and ending follow the memory server's time, whatever a client's clock says.",
  },
  {
    at: "add_used(",
    title: "Check passed: decrement",
    text: "Buy moves the units to sold, hold to held, with a deadline. The transition joins the batch's journal entry.",
  },
  {
    at: "local results",
    title: "Decide, write, answer",
    text: "Every request of the batch, then one flush, then the answers.",
  },
];

export type Block = { rule: Rule | null; from: number; lines: string[] };

/** Split the source where its rules begin. Rules that this kernel does not have are skipped. */
export function blocksOf(source: string, rules: Rule[] = RULES): Block[] {
  const lines = source.trimEnd().split("\n");
  const blocks: Block[] = [];
  let from = 0;
  let rule: Rule | null = null;
  for (const next of rules) {
    const at = lines.findIndex((line, index) => index >= from && line.trimStart().startsWith(next.at));
    if (at < 0) continue;
    if (at > from) blocks.push({ rule, from: from + 1, lines: lines.slice(from, at) });
    from = at;
    rule = next;
  }
  blocks.push({ rule, from: from + 1, lines: lines.slice(from) });
  return blocks;
}
