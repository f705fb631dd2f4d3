// Builds out/embed/flashguard.js, the element that shows a sale in a shop's own page; fails if it is too large.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "vite";

const MOST_KB = 20;
await build({
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  resolve: { alias: { "@": fileURLToPath(new URL("..", import.meta.url)).replace(/\/$/, "") } },
  build: {
    outDir: "out/embed",
    target: "es2022",
    lib: { entry: "embed/flashguard.ts", formats: ["iife"], name: "flashguard", fileName: () => "flashguard.js" },
  },
});
const kB = gzipSync(readFileSync("out/embed/flashguard.js")).length / 1000;
console.log(`${kB.toFixed(1).padStart(7)} kB gzipped  embed/flashguard.js`);
if (kB > MOST_KB) throw new Error(`embed/flashguard.js is over ${MOST_KB} kB gzipped.`);
