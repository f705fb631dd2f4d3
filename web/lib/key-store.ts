"use client";

import { useSyncExternalStore } from "react";

const NAME = "flashguard:admin-key";
const CHANGED = "flashguard:admin-key-changed";

function subscribe(listener: () => void) {
  window.addEventListener(CHANGED, listener);
  return () => window.removeEventListener(CHANGED, listener);
}

/** The admin key, kept for this tab only; empty where there is none. */
export const adminKey = () => sessionStorage.getItem(NAME) ?? "";

export function setAdminKey(value: string) {
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
  window.dispatchEvent(new Event(CHANGED));
}

export function useAdminKey(): [string, (key: string) => void] {
  return [useSyncExternalStore(subscribe, adminKey, () => ""), setAdminKey];
}
