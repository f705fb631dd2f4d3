// Fails the build if the first load of a page needs more JavaScript than MOST_KB.
import { readdirSync, readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

const MOST_KB = 150;
let tooLarge = false;
for (const name of readdirSync("out", { recursive: true })
  .map(String)
  .filter((name) => name.endsWith("index.html"))) {
  const html = readFileSync(`out/${name}`, "utf8");
  // Browsers that run these pages never load noModule scripts (polyfills).
  const scripts = [...html.matchAll(/<script\b([^>]*)>/g)]
    .map((found) => found[1])
    .filter((text) => !/nomodule/i.test(text));
  const files = new Set(scripts.map((text) => /\bsrc="([^"]+)"/.exec(text)?.[1]).filter(Boolean));
  const bytes = [...files].reduce((sum, file) => sum + gzipSync(readFileSync(`out${file.split("?")[0]}`)).length, 0);
  console.log(`${(bytes / 1000).toFixed(1).padStart(7)} kB gzipped  ${name}`);
  tooLarge ||= bytes > MOST_KB * 1000;
}
if (tooLarge) throw new Error(`A page's first load is over ${MOST_KB} kB gzipped.`);
