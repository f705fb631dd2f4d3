"use client";

import { useEffect, useRef, useState } from "react";
import { KeyRound } from "lucide-react";
import { keyInFragment } from "@/lib/key-fragment";
import { setAdminKey, signOut, useWhySignedOut } from "@/lib/key-store";
import { notAKey, signIn } from "@/lib/sign-in";
import { Panel } from "./parts";

/** Takes the key from the address that `flashguard up` prints. A fragment is never sent to any server; it goes at once. */
export function useKeyFromAddress() {
  useEffect(() => {
    function take() {
      const key = keyInFragment(window.location.hash);
      if (!key) return;
      const wrong = notAKey(key);
      if (wrong) signOut(wrong);
      else setAdminKey(key);
      window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
    }
    take();
    window.addEventListener("hashchange", take);
    return () => window.removeEventListener("hashchange", take);
  }, []);
}

export function ForgetKey() {
  return (
    <button className="btn btn-small" onClick={() => setAdminKey("")}>
      <KeyRound size={13} aria-hidden />
      Forget the admin key
    </button>
  );
}

/** Asks for a key, and keeps it only when the service knows it. */
export function AdminKey({ why }: { why: string }) {
  const [typed, setTyped] = useState("");
  const [error, setError] = useState("");
  const [checking, setChecking] = useState(false);
  const working = useRef(false);
  const signedOut = useWhySignedOut();
  async function use() {
    if (working.current) return;
    working.current = true;
    setChecking(true);
    setError("");
    setError(await signIn(typed.trim()));
    setChecking(false);
    working.current = false;
  }
  const wrong = error || (checking ? "" : signedOut);
  return (
    <Panel title="Admin key needed" aside={<KeyRound size={15} aria-hidden className="text-soft" />}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          void use();
        }}
      >
        <p className="text-soft">{why}</p>
        <div className="flex flex-wrap items-end gap-3">
          <label className="label min-w-40 flex-1">
            Admin key
            <input
              className="field"
              type="password"
              autoComplete="off"
              placeholder="fg_admin_…"
              value={typed}
              onChange={(event) => setTyped(event.target.value)}
              required
            />
          </label>
          <button className="btn btn-main min-h-[34px]" disabled={checking}>
            {checking ? "Checking…" : "Use this key"}
          </button>
        </div>
        {wrong && (
          <p role="alert" className="text-bad">
            {wrong}
          </p>
        )}
        <p className="text-xs text-soft">
          FlashGuard prints it when it starts, with a link that signs you in. It is kept in{" "}
          <code>.flashguard/admin.key</code>; here, it stays in this tab.
        </p>
      </form>
    </Panel>
  );
}
