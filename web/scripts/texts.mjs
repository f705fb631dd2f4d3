// Print the texts of messages files as JSON: `node scripts/texts.mjs messages/en.tsx …`. A template counts as parts.
import { readFileSync } from "node:fs";
import ts from "typescript";

/** What holds no text that is shown: types, imports and attributes. */
const skipped = (node) => ts.isTypeNode(node) || ts.isImportDeclaration(node) || ts.isJsxAttribute(node);
const isText = (node) => ts.isStringLiteralLike(node) || ts.isTemplateLiteralToken(node) || ts.isJsxText(node);

const texts = new Set();
function collect(node) {
  if (skipped(node)) return;
  if (isText(node)) texts.add(node.text.trim().replace(/\s+/g, " "));
  if (ts.isPropertyAssignment(node)) collect(node.initializer);
  else ts.forEachChild(node, collect);
}
for (const name of process.argv.slice(2))
  collect(ts.createSourceFile(name, readFileSync(name, "utf8"), ts.ScriptTarget.Latest, true, ts.ScriptKind.TSX));
texts.delete("");
console.log(JSON.stringify([...texts]));
