"use client";

import { useEffect, useRef, useSyncExternalStore } from "react";
import type uPlot from "uplot";
import { count, short } from "@/lib/format";
import { useLanguage } from "@/lib/language";

export type Segment = { strategy: string; from: number; to: number };
const HEIGHT = 150;
const SEGMENT_LABEL_HEIGHT = 18;

/** Call `listener` when the page's or the system's theme changes: canvases must be drawn again. */
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

/** Return a CSS token's colour in a form that a canvas accepts. */
function colorOf(element: HTMLElement, token: string): string {
  const probe = document.createElement("span");
  probe.style.color = `var(--${token})`;
  element.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/** A chart of one measure over time. Charts with the same `syncKey` share their crosshair. */
export function Chart({
  label,
  summary,
  seconds,
  values,
  segments = [],
  token,
  syncKey,
}: {
  label: string;
  summary: string;
  seconds: number[];
  values: (number | null)[];
  segments?: Segment[];
  token: "info" | "good" | "bad";
  syncKey: string;
}) {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const now = useRef({ seconds, values, segments });
  const readout = useRef<HTMLSpanElement>(null);
  const theme = useTheme();
  const language = useLanguage();
  useEffect(() => {
    now.current = { seconds, values, segments };
    plot.current?.setData([seconds, values]);
  }, [seconds, values, segments]);

  useEffect(() => {
    const element = box.current;
    if (!element) return;
    let cancelled = false;
    const observer = new ResizeObserver(([entry]) =>
      plot.current?.setSize({ width: entry!.contentRect.width, height: HEIGHT }),
    );
    void import("uplot").then(({ default: Plot }) => {
      if (cancelled) return;
      const [line, soft, grid, page] = [token, "soft", "line", "panel"].map((name) => colorOf(element, name));
      const font = `11px ${getComputedStyle(element).fontFamily}`;
      const axis = { stroke: soft, font, ticks: { show: false }, grid: { stroke: grid, width: 1 } };
      plot.current = new Plot(
        {
          width: element.clientWidth,
          height: HEIGHT,
          legend: { show: false },
          padding: [SEGMENT_LABEL_HEIGHT, 8, 0, 0],
          scales: { x: { time: false }, y: { range: (_, __, most) => [0, Math.max(most * 1.05, 5)] } },
          cursor: { sync: { key: syncKey }, y: false, drag: { x: false, y: false }, points: { size: 6, fill: line } },
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
            draw: [(plot) => drawSegments(plot, now.current.segments, soft!, grid!, page!, font)],
            setCursor: [
              (plot) => {
                const at = plot.cursor.idx;
                const value = at == null ? null : now.current.values[at];
                if (readout.current)
                  readout.current.textContent =
                    value == null ? "" : `${short(now.current.seconds[at!]!)} s: ${count(value)}`;
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
      cancelled = true;
      observer.disconnect();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [token, syncKey, theme, language]);

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

/** Mark where each strategy's segment begins, with its name above the chart. */
function drawSegments(plot: uPlot, segments: Segment[], text: string, grid: string, page: string, font: string) {
  const { ctx, bbox } = plot;
  const ratio = devicePixelRatio || 1;
  ctx.save();
  ctx.font = font.replace("11px", `${11 * ratio}px`);
  ctx.textAlign = "left";
  ctx.textBaseline = "alphabetic";
  let free = bbox.left + 2 * ratio;
  for (const segment of segments) {
    const from = plot.valToPos(segment.from, "x", true);
    ctx.strokeStyle = grid;
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.moveTo(from, bbox.top - 4 * ratio);
    ctx.lineTo(from, bbox.top + bbox.height);
    ctx.stroke();
    const x = Math.max(from + 2 * ratio, free);
    const width = ctx.measureText(segment.strategy).width;
    if (x + width > bbox.left + bbox.width + 8 * ratio) continue;
    ctx.fillStyle = page;
    ctx.fillRect(x, 0, width + 4 * ratio, 15 * ratio);
    ctx.fillStyle = text;
    ctx.fillText(segment.strategy, x, 11 * ratio);
    free = x + width + 10 * ratio;
  }
  ctx.restore();
}
