"use client";

import { useEffect, useState } from "react";
import { KeyRound } from "lucide-react";
import { keyInFragment } from "@/lib/key-fragment";
import { setAdminKey } from "@/lib/key-store";
import { Panel } from "./parts";

/** Takes the key from the address that `flashguard up` prints. A fragment is never sent to any server; it goes at once. */
export function useKeyFromAddress() {
  useEffect(() => {
    function take() {
      const key = keyInFragment(window.location.hash);
      if (!key) return;
      setAdminKey(key);
      window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
    }
    take();
    window.addEventListener("hashchange", take);
    return () => window.removeEventListener("hashchange", take);
  }, []);
}

export function ForgetKey() {
  return <button className="btn btn-small" onClick={() => setAdminKey("")}><KeyRound size={13} aria-hidden />Forget the admin key</button>;
}

export function AdminKey({ why }: { why: string }) {
  const [typed, setTyped] = useState("");
  return (
    <Panel title="Admin key needed" aside={<KeyRound size={15} aria-hidden className="text-soft" />}>
      <form className="grid gap-3" onSubmit={(event) => { event.preventDefault(); setAdminKey(typed.trim()); setTyped(""); }}>
        <p className="text-soft">{why}</p>
        <div className="flex flex-wrap items-end gap-3">
          <label className="label min-w-40 flex-1">Admin key
            <input className="field" type="password" autoComplete="off" placeholder="fg_admin_…" value={typed} onChange={(event) => setTyped(event.target.value)} required />
          </label>
          <button className="btn btn-main min-h-[34px]">Use this key</button>
        </div>
        <p className="text-xs text-soft">FlashGuard prints it when it starts, with a link that signs you in. It is kept in <code>.flashguard/admin.key</code>; here, it stays in this tab.</p>
      </form>
    </Panel>
  );
}
