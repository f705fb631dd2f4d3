"use client";

import { useSyncExternalStore } from "react";
import { api, type System } from "./api/client";

const EVERY_MS = 3000;
const TIMEOUT_MS = 5000;

export type SystemState = { system: System | null; lost: boolean };

let state: SystemState = { system: null, lost: false };
const BEFORE = state;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

async function look() {
  if (document.hidden) return;
  const { data } = await api.GET("/v1/system", { signal: AbortSignal.timeout(TIMEOUT_MS) }).catch(() => ({ data: undefined }));
  state = { system: data ?? state.system, lost: !data };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (listeners.size === 1) {
    void look();
    timer = setInterval(() => void look(), EVERY_MS);
    document.addEventListener("visibilitychange", look);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

/** What runs, and how each part does: asked once every few seconds, however many components show it. */
export const useSystem = (): SystemState => useSyncExternalStore(subscribe, () => state, () => BEFORE);
