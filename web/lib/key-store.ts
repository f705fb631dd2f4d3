"use client";

import { useSyncExternalStore } from "react";

const NAME = "flashguard:admin-key";
export const KEY_CHANGED = "flashguard:admin-key-changed";

/** Why the service refused the key of this tab. Empty if the user removed it. */
let signOutReason = "";

function subscribe(listener: () => void) {
  window.addEventListener(KEY_CHANGED, listener);
  return () => window.removeEventListener(KEY_CHANGED, listener);
}

/** Return this tab's admin key, or an empty string. */
export const adminKey = () => sessionStorage.getItem(NAME) ?? "";

export function setAdminKey(value: string) {
  signOutReason = "";
  if (value) sessionStorage.setItem(NAME, value);
  else sessionStorage.removeItem(NAME);
  window.dispatchEvent(new Event(KEY_CHANGED));
}

/** Remove the key because the service refused it. */
export function signOut(reason: string) {
  sessionStorage.removeItem(NAME);
  signOutReason = reason;
  window.dispatchEvent(new Event(KEY_CHANGED));
}

export const useAdminKey = (): string => useSyncExternalStore(subscribe, adminKey, () => "");

export const useSignOutReason = (): string =>
  useSyncExternalStore(
    subscribe,
    () => signOutReason,
    () => "",
  );
