"use client";

import { useEffect, useRef, useState } from "react";

const EVERY_MS = 1000;
/** The span of the chart, and of the average that the figure shows. */
export const CHART_SECONDS = 60;
export const FIGURE_SECONDS = 10;

/** Return the increases per second, newest last, with the one from `before` to `now`. `before` null starts over. */
export function nextSteps(steps: number[], before: number | null, now: number): number[] {
  return before === null ? [] : [...steps, Math.max(0, now - before)].slice(-CHART_SECONDS);
}

export const perSecond = (steps: number[]): number | null => {
  const last = steps.slice(-FIGURE_SECONDS);
  return last.length ? last.reduce((sum, step) => sum + step, 0) / last.length : null;
};

/** Measure how fast a total grows while it is live. The growth during a lost connection does not count as a burst. */
export function useRate(total: number, live: boolean): { steps: number[]; rate: number | null } {
  const [steps, setSteps] = useState<number[]>([]);
  const now = useRef(total);
  useEffect(() => {
    now.current = total;
  }, [total]);
  useEffect(() => {
    if (!live) return;
    let before: number | null = null;
    const timer = setInterval(() => {
      const value = now.current,
        last = before;
      before = value;
      setSteps((old) => nextSteps(old, last, value));
    }, EVERY_MS);
    return () => clearInterval(timer);
  }, [live]);
  return { steps, rate: live ? perSecond(steps) : null };
}
