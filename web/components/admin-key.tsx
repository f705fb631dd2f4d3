"use client";

import { useEffect, useRef, useState } from "react";
import { KeyRound } from "lucide-react";
import { keyInFragment } from "@/lib/fragment";
import { setAdminKey, signOut, useSignOutReason } from "@/lib/key-store";
import type { Right } from "@/lib/api/client";
import { useMessages } from "@/lib/language";
import { keyProblem, signIn } from "@/lib/sign-in";
import { Panel } from "./ui";

/**
 * Sign in with the key in the address that `flashguard up` prints, and remove it from the address. The key is in the
 * fragment, which browsers never send to a server.
 */
export function useKeyFromAddress() {
  useEffect(() => {
    function signInFromAddress() {
      const key = keyInFragment(window.location.hash);
      if (!key) return;
      const problem = keyProblem(key);
      if (problem) signOut(problem);
      else setAdminKey(key);
      window.history.replaceState(window.history.state, "", window.location.pathname + window.location.search);
    }
    signInFromAddress();
    window.addEventListener("hashchange", signInFromAddress);
    return () => window.removeEventListener("hashchange", signInFromAddress);
  }, []);
}

export function ForgetKey() {
  const t = useMessages().key;
  return (
    <button className="btn btn-small" onClick={() => setAdminKey("")}>
      <KeyRound size={13} aria-hidden />
      {t.forget}
    </button>
  );
}

/** A form for a key. It keeps the key only if the service accepts it, and it has the `right` that the page needs. */
export function AdminKey({ why, right }: { why: string; right?: Right }) {
  const t = useMessages().key;
  const [typed, setTyped] = useState("");
  const [error, setError] = useState("");
  const [checking, setChecking] = useState(false);
  const working = useRef(false);
  const signedOut = useSignOutReason();
  async function submit() {
    if (working.current) return;
    working.current = true;
    setChecking(true);
    setError("");
    setError(await signIn(typed.trim(), right));
    setChecking(false);
    working.current = false;
  }
  const problem = error || (checking ? "" : signedOut);
  return (
    <Panel title={t.title} aside={<KeyRound size={15} aria-hidden className="text-soft" />}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <p className="text-soft">{why}</p>
        <div className="flex flex-wrap items-end gap-3">
          <label className="label min-w-40 flex-1">
            {t.label}
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
            {checking ? t.checking : t.use}
          </button>
        </div>
        {problem && (
          <p role="alert" className="text-bad">
            {problem}
          </p>
        )}
        <p className="text-xs text-soft">{t.where(<code>.flashguard/admin.key</code>)}</p>
      </form>
    </Panel>
  );
}
