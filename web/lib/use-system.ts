"use client";

import { useSyncExternalStore } from "react";
import { api, bearer, type System } from "./api/client";
import { adminKey, KEY_CHANGED } from "./key-store";

const EVERY_MS = 3000;
const TIMEOUT_MS = 5000;

/** `locked`: the service answers, but its state needs another key, in production also one at all. */
export type SystemState = { system: System | null; lost: boolean; locked: boolean };

let state: SystemState = { system: null, lost: false, locked: false };
const INITIAL = state;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

async function poll() {
  if (document.hidden) return;
  const key = adminKey();
  const headers = key ? bearer(key) : undefined;
  const answer = await api.GET("/v1/system", { signal: AbortSignal.timeout(TIMEOUT_MS), headers }).catch(() => null);
  const locked = answer?.response.status === 401 || answer?.response.status === 403;
  state = { system: answer?.data ?? state.system, lost: !answer?.data && !locked, locked };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (listeners.size === 1) {
    void poll();
    timer = setInterval(() => void poll(), EVERY_MS);
    document.addEventListener("visibilitychange", poll);
    window.addEventListener(KEY_CHANGED, poll);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", poll);
    window.removeEventListener(KEY_CHANGED, poll);
  };
}

/** Return the state of the installation. All components on a page share one poll. */
export const useSystem = (): SystemState =>
  useSyncExternalStore(
    subscribe,
    () => state,
    () => INITIAL,
  );
