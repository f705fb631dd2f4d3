"use client";

import { useEffect, useRef, useSyncExternalStore } from "react";
import type uPlot from "uplot";
import { short } from "@/lib/format";

export type Part = { strategy: string; from: number; to: number };
const HEIGHT = 150;
const PARTS_ROOM = 18;

/** A theme change, by the switch or by the system: canvases don't follow by themselves. */
function subscribe(listener: () => void) {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", listener);
  const observer = new MutationObserver(listener);
  observer.observe(document.documentElement, { attributes: true, attributeFilter: ["data-theme"] });
  return () => {
    dark.removeEventListener("change", listener);
    observer.disconnect();
  };
}
export const useTheme = () =>
  useSyncExternalStore(
    subscribe,
    () =>
      document.documentElement.dataset.theme ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"),
    () => "light",
  );

/** A token's colour as a canvas can use it. */
function colorOf(element: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** One measure over time. Charts of the same `together` share their crosshair. */
export function Chart({
  label,
  summary,
  seconds,
  values,
  parts = [],
  token,
  together,
}: {
  label: string;
  summary: string;
  seconds: number[];
  values: (number | null)[];
  parts?: Part[];
  token: "info" | "good" | "bad";
  together: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef({ seconds, values, parts });
  const readout = useRef<HTMLSpanElement>(null);
  const theme = useTheme();
  useEffect(() => {
    now.current = { seconds, values, parts };
    plot.current?.setData([seconds, values]);
  }, [seconds, values, parts]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let gone = false;
    const observer = new ResizeObserver(([entry]) =>
      plot.current?.setSize({ width: entry!.contentRect.width, height: HEIGHT }),
    );
    void import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const [line, soft, grid, page] = [token, "soft", "line", "panel"].map((name) => colorOf(element, name));
      const font = `11px ${getComputedStyle(element).fontFamily}`;
      const axis = { stroke: soft, font, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
      plot.current = new Plot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          padding: [PARTS_ROOM, 8, 0, 0],
          scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most * 1.05, 5)] } },
          cursor: { sync: { key: together }, y: false, drag: { x: false, y: false }, points: { size: 6, fill: line } },
          series: [
            {},
            {
              stroke: line,
              width: 1.5,
              fill: line!.replace("rgb(", "rgba(").replace(")", ", 0.14)"),
              points: { show: false },
              spanGaps: false,
            },
          ],
          axes: [
            { ...axis, size: 24, gap: 4, values: (_, ticks) => ticks.map((tick) => `${short(tick)} s`) },
            {
              ...axis,
              size: 46,
              gap: 6,
              values: (_, ticks) => ticks.map((tick) => (Number.isInteger(tick) ? short(tick) : "")),
            },
          ],
          hooks: {
            draw: [(plot) => drawParts(plot, now.current.parts, soft!, grid!, page!, font)],
            setCursor: [
              (plot) => {
                const at = plot.cursor.idx;
                const value = at == null ? null : now.current.values[at];
                if (readout.current)
                  readout.current.textContent =
                    value == null
                      ? ""
                      : `${short(now.current.seconds[at!]!)} s: ${new Intl.NumberFormat().format(value)}`;
              },
            ],
          },
        },
        [now.current.seconds, now.current.values],
        element,
      );
      observer.observe(element);
    });
    return () => {
      gone = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [token, together, theme]);

  return (
    <figure className="min-w-0">
      <figcaption className="flex flex-wrap items-baseline justify-between gap-x-3 text-soft">
        <span>
          <span
            aria-hidden
            className="mr-1.5 inline-block size-2 rounded-[2px]"
            style={{ background: `var(--${token})` }}
          />
          {label}
        </span>
        <span ref={readout} className="text-xs" />
      </figcaption>
      <div
        ref={box}
        role="img"
        aria-label={`${label}. ${summary}`}
        className="overflow-hidden"
        style={{ height: HEIGHT }}
      />
    </figure>
  );
}

/** Where each strategy ran, named above its stretch. */
function drawParts(plot: uPlot, parts: Part[], text: string, grid: string, page: string, font: string) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.font = font.replace("11px", `${11 * ratio}px`);
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  let free = bbox.left + 2 * ratio;
  for (const part of parts) {
    const from = plot.valToPos(part.from, "x", true);
    ctx.strokeStyle = grid;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(from, bbox.top - 4 * ratio);
    ctx.lineTo(from, bbox.top + bbox.height);
    ctx.stroke();
    const x = Math.max(from + 2 * ratio, free);
    const width = ctx.measureText(part.strategy).width;
    if (x + width > bbox.left + bbox.width + 8 * ratio) continue;
    ctx.fillStyle = page;
    ctx.fillRect(x, 0, width + 4 * ratio, 15 * ratio);
    ctx.fillStyle = text;
    ctx.fillText(part.strategy, x, 11 * ratio);
    free = x + width + 10 * ratio;
  }
  ctx.restore();
}
