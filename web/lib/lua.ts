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
    title: "One atomic step",
    text:
      "Valkey finishes a script before it runs any other command. Nothing comes between check and decrement: " +
      "each unit goes to one buyer.",
  },
  {
    at: "-- The partition:",
    title: "Shared library",
    text: "Checks the fence and the epoch, reads the clock, and fetches sales and items in one round.",
    library: true,
  },
  {
    at: "-- expire_page(",
    title: "Expired holds come back first",
    text: "Before the kernel answers sold-out, it reclaims the holds whose deadline has passed.",
  },
  {
    at: "local function flush",
    title: "One journal entry for the whole batch",
    text:
      "The same step writes the counters, the records and the entry. A decision is on its way to PostgreSQL, " +
      "or it did not happen.",
    library: true,
  },
  {
    at: "-- short_line(",
    title: "A unit is given only while stock − held − sold > 0",
    text: "Two lines with the same item are added up before the check. A basket is all or nothing.",
  },
  {
    at: "-- shortage(",
    title: "A limit per customer, and no false sold-out",
    text: "The check repeats after each page of reclaimed holds. If there are too many: overloaded, not sold-out.",
  },
  {
    at: "local refusal = closed()",
    title: "Lost memory means closed, not empty",
    text: "A fenced partition, a lost history or a missing key gets the answer recovering, never a number of units.",
  },
  {
    at: "prefetch_each(reads",
    title: "Many requests, one call",
    text: "The batch reads all its data at once. Then the script decides each request, in the order of arrival.",
  },
  {
    at: "local record = record_of(sale, id)",
    title: "A key has one outcome",
    text: "A repeated request gets the first answer. The same key with another body is refused.",
  },
  {
    at: "local status = status_now(config)",
    title: "The sale's own clock",
    text: "A sale opens and ends by the clock of the Valkey server, whatever a client's clock says.",
  },
  {
    at: "count_used(sale",
    title: "Check passed: decrement",
    text: "A buy moves units to sold; a hold moves them to held, with a deadline. Both join the batch's journal entry.",
  },
  {
    at: "return run_batch(",
    title: "Decide, write, answer",
    text: "All requests of the batch are decided, then written in one flush, then answered.",
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
