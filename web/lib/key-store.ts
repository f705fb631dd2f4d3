"use client";

import { useSyncExternalStore } from "react";

const NAME = "flashguard:admin-key";
export const KEY_CHANGED = "flashguard:admin-key-changed";

/** Why the key that this tab had is gone; empty where it was forgotten on purpose. */
let why = "";

function subscribe(listener: () => void) {
  window.addEventListener(KEY_CHANGED, listener);
  return () => window.removeEventListener(KEY_CHANGED, listener);
}

/** The admin key, kept for this tab only; empty where there is none. */
export const adminKey = () => sessionStorage.getItem(NAME) ?? "";

export function setAdminKey(value: string) {
  why = "";
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
  window.dispatchEvent(new Event(KEY_CHANGED));
}

/** Forgets the key because the service refused it. */
export function signOut(reason: string) {
  sessionStorage.removeItem(NAME);
  why = reason;
  window.dispatchEvent(new Event(KEY_CHANGED));
}

export const useAdminKey = (): string => useSyncExternalStore(subscribe, adminKey, () => "");

export const useWhySignedOut = (): string =>
  useSyncExternalStore(
    subscribe,
    () => why,
    () => "",
  );
