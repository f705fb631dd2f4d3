"use client";

import { useEffect, useState, useSyncExternalStore } from "react";
import { Check, Copy as CopyIcon, Terminal } from "lucide-react";
import { API_URL } from "@/lib/api/client";
import { useLanguage, useMessages } from "@/lib/language";
import { curlOf, type Call } from "@/lib/curl";

const SHOWN_MS = 1500;

export function Copy({ text, label }: { text: string; label?: string }) {
  const t = useMessages().common;
  const [done, setDone] = useState(false);
  useEffect(() => {
    if (!done) return;
    const timer = setTimeout(() => setDone(false), SHOWN_MS);
    return () => clearTimeout(timer);
  }, [done]);
  return (
    <button type="button" className="btn btn-small" onClick={() => void copy(text).then(setDone)}>
      {done ? <Check size={13} aria-hidden /> : <CopyIcon size={13} aria-hidden />}
      {done ? t.copied : (label ?? t.copy)}
    </button>
  );
}

/** Copy text. Browsers offer the clipboard API only over HTTPS and on localhost; elsewhere `execCommand` works. */
async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

const never = () => () => {};

/** The page's call as a curl command. It never contains the admin key. */
export function Curl(call: Call) {
  // The exported HTML does not know its origin. Reading it before hydration would be a mismatch.
  const origin = useSyncExternalStore(
    never,
    () => API_URL || window.location.origin,
    () => API_URL,
  );
  const t = useMessages().common;
  const language = useLanguage();
  const text = curlOf(origin, call);
  return (
    <details lang={language} className="mt-3 border-t border-line pt-2">
      <summary className="flex w-fit cursor-pointer items-center gap-1.5 text-xs text-soft hover:text-ink">
        <Terminal size={13} aria-hidden />
        {t.asCurl}
      </summary>
      <div className="mt-2 flex items-start gap-2 rounded-md bg-raised p-2">
        <pre className="min-w-0 flex-1 break-all whitespace-pre-wrap">{text}</pre>
        <Copy text={text} />
      </div>
    </details>
  );
}
