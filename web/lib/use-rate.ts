"use client";

import { useEffect, useRef, useState } from "react";

const EVERY_MS = 1000;
/** How far back the little chart goes, and over how long the figure is taken. */
export const CHART_SECONDS = 60;
export const FIGURE_SECONDS = 10;

/** What came in each of the last seconds, the newest last, with one more total; null begins anew. */
export function nextSteps(steps: number[], before: number | null, now: number): number[] {
  return before === null ? [] : [...steps, Math.max(0, now - before)].slice(-CHART_SECONDS);
}

export const perSecond = (steps: number[]): number | null => {
  const last = steps.slice(-FIGURE_SECONDS);
  return last.length ? last.reduce((sum, step) => sum + step, 0) / last.length : null;
};

/** How fast a total grows while it is live; a gap in the connection is no burst afterwards. */
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
