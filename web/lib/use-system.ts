"use client";

import { useSyncExternalStore } from "react";
import { api, bearer, type System } from "./api/client";
import { adminKey, KEY_CHANGED } from "./key-store";

const EVERY_MS = 3000;
const TIMEOUT_MS = 5000;

/** `locked`: it answers, but in production only to those who show a key. */
export type SystemState = { system: System | null; lost: boolean; locked: boolean };

let state: SystemState = { system: null, lost: false, locked: false };
const BEFORE = state;
const listeners = new Set<() => void>();
let timer: ReturnType<typeof setInterval> | undefined;

async function look() {
  if (document.hidden) return;
  const key = adminKey();
  const headers = key ? bearer(key) : undefined;
  const answer = await api.GET("/v1/system", { signal: AbortSignal.timeout(TIMEOUT_MS), headers }).catch(() => null);
  const locked = answer?.response.status === 401;
  state = { system: answer?.data ?? state.system, lost: !answer?.data && !locked, locked };
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (listeners.size === 1) {
    void look();
    timer = setInterval(() => void look(), EVERY_MS);
    document.addEventListener("visibilitychange", look);
    window.addEventListener(KEY_CHANGED, look);
  }
  return () => {
    listeners.delete(listener);
    if (listeners.size) return;
    clearInterval(timer);
    document.removeEventListener("visibilitychange", look);
    window.removeEventListener(KEY_CHANGED, look);
  };
}

/** What runs, and how each part does: asked once every few seconds, however many components show it. */
export const useSystem = (): SystemState =>
  useSyncExternalStore(
    subscribe,
    () => state,
    () => BEFORE,
  );
