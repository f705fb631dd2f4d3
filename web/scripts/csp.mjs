// Writes out/csp.json: the hashes of all inline scripts in the exported pages, for the server's CSP header.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const names = readdirSync("out", { recursive: true }).map(String);
const hashes = new Set();
for (const name of names.filter((name) => name.endsWith(".html"))) {
  const html = readFileSync(`out/${name}`, "utf8");
  for (const [, attributes, body] of html.matchAll(/<script\b([^>]*)>([\s\S]*?)<\/script>/g)) {
    if (!/\bsrc=|application\/json/.test(attributes) && body)
      hashes.add(`sha256-${createHash("sha256").update(body).digest("base64")}`);
  }
}
writeFileSync("out/csp.json", `${JSON.stringify({ script_hashes: [...hashes].sort() }, null, 1)}\n`);
console.log(`csp.json: ${hashes.size} inline scripts`);
