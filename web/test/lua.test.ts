import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { blocksOf, RULES, tokensOf } from "@/lib/lua";

const SCRIPTS = "../src/flashguard/kernel/scripts/";
const source = readFileSync(`${SCRIPTS}reserve_stock.lua`, "utf8").replace(/^--@include (.*)$/gm, (_, name) =>
  readFileSync(SCRIPTS + name, "utf8"),
);

test("each rule is found in the kernel's script", () => {
  const blocks = blocksOf(source);
  expect(blocks.map((block) => block.rule?.at).filter(Boolean)).toEqual(RULES.map((rule) => rule.at));
});
test("no line of the script is lost or repeated", () => {
  const blocks = blocksOf(source);
  expect(blocks.flatMap((block) => block.lines).join("\n")).toBe(source.trimEnd());
  for (const { from, lines } of blocks) expect(source.split("\n")[from - 1]).toBe(lines[0]);
});
test("a script without the known rules is one block", () => {
  expect(blocksOf("return 1\n")).toEqual([{ rule: null, from: 1, lines: ["return 1"] }]);
});
test("tokens keep every character", () => {
  for (const line of source.split("\n"))
    expect(
      tokensOf(line)
        .map((token) => token.text)
        .join(""),
    ).toBe(line);
  expect(tokensOf("local a = 'end' -- end").map((token) => token.kind)).toEqual([
    "keyword",
    "plain",
    "string",
    "plain",
    "comment",
  ]);
});
