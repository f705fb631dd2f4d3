"use client";

import { useState, useSyncExternalStore } from "react";

const NAME = "flashguard:admin-key";
const CHANGED = "flashguard:admin-key-changed";

function subscribe(listener: () => void) {
  window.addEventListener(CHANGED, listener);
  return () => window.removeEventListener(CHANGED, listener);
}

/** Kept for this tab only. */
export function useAdminKey(): [string, (key: string) => void] {
  const key = useSyncExternalStore(subscribe, () => sessionStorage.getItem(NAME) ?? "", () => "");
  return [key, (value) => {
    if (value) sessionStorage.setItem(NAME, value);
    else sessionStorage.removeItem(NAME);
    window.dispatchEvent(new Event(CHANGED));
  }];
}

export function AdminKey() {
  const [key, setKey] = useAdminKey();
  const [typed, setTyped] = useState("");
  if (key) return <button className="btn" onClick={() => setKey("")}>Forget the admin key</button>;
  return (
    <form className="panel flex flex-wrap items-end gap-3" onSubmit={(event) => { event.preventDefault(); setKey(typed.trim()); setTyped(""); }}>
      <label className="grid min-w-56 flex-1 gap-1">Admin key
        <input className="field" type="password" autoComplete="off" value={typed} onChange={(event) => setTyped(event.target.value)} required />
      </label>
      <button className="btn btn-main">Use this key</button>
      <p className="basis-full text-soft">FlashGuard prints it at its first start, and keeps it in <code>admin.key</code> in its data directory. It stays in this tab.</p>
    </form>
  );
}
