"use client";

import { useState } from "react";
import { Download } from "lucide-react";
import type { Simulation } from "@/lib/api/client";
import { download, pngOf } from "@/lib/download";
import { reportSvg } from "@/lib/report-svg";
import { Copy } from "../curl";
import { useTexts } from "./texts";

/** Buttons that copy a finished simulation's address and download its report. */
export function Share({ simulation }: { simulation: Simulation }) {
  const texts = useTexts();
  const t = texts.share;
  const [error, setError] = useState("");
  const name = `flashguard-simulation-${simulation.id.slice(0, 8)}`;
  const picture = () => new Blob([reportSvg(simulation, texts)], { type: "image/svg+xml" });
  const files = [
    [
      "JSON",
      () => download(`${name}.json`, new Blob([JSON.stringify(simulation, null, 1)], { type: "application/json" })),
    ],
    [
      "PNG",
      () =>
        void pngOf(picture()).then(
          (png) => download(`${name}.png`, png),
          () => setError(t.noPng),
        ),
    ],
    ["SVG", () => download(`${name}.svg`, picture())],
  ] as const;
  return (
    <>
      <Copy text={typeof window === "undefined" ? "" : window.location.href} label={t.copy} />
      {files.map(([kind, save]) => (
        <button key={kind} type="button" className="btn btn-small" aria-label={t.download(kind)} onClick={save}>
          <Download size={13} aria-hidden />
          {kind}
        </button>
      ))}
      {error && (
        <p role="alert" className="basis-full text-bad">
          {error}
        </p>
      )}
    </>
  );
}
