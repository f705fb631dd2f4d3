"use client";

import { useState, useSyncExternalStore } from "react";
import { API_URL } from "@/lib/api/client";
import type { Connection } from "@/lib/use-events";

const TONES = { good: "text-good", warn: "text-warn", bad: "text-bad", info: "text-info", soft: "text-soft" };
export type Tone = keyof typeof TONES;

export function Pill({ tone, children }: { tone: Tone; children: React.ReactNode }) {
  return <span className={`inline-block rounded-full border border-current px-2 text-xs font-medium ${TONES[tone]}`}>{children}</span>;
}

export function Panel({ title, aside, children }: { title: string; aside?: React.ReactNode; children: React.ReactNode }) {
  return (
    <section className="panel">
      <div className="mb-2 flex flex-wrap items-center justify-between gap-2"><h2 className="font-semibold">{title}</h2>{aside}</div>
      {children}
    </section>
  );
}

/** Only the connection's state is announced; numbers that tick are not. */
export function Banner({ connection }: { connection: Connection }) {
  return (
    <div role="status">
      {connection === "lost" && <p className="panel text-warn">Connection lost: trying again. The numbers below are stale.</p>}
    </div>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }) {
  const [done, setDone] = useState(false);
  return (
    <button className="btn" onClick={() => void navigator.clipboard?.writeText(text).then(() => setDone(true))}>
      {done ? "Copied" : label}
    </button>
  );
}

const never = () => () => {};

/** What the page just did, to be done again in a terminal. The admin key is never in it. */
export function Curl({ method = "GET", path, body, admin }: { method?: string; path: string; body?: unknown; admin?: boolean }) {
  // The exported page does not know its origin: read it after hydration, or the two differ.
  const origin = useSyncExternalStore(never, () => API_URL || window.location.origin, () => API_URL);
  const parts = [`curl -X ${method} ${origin}${path}`];
  if (admin) parts.push(`-H "Authorization: Bearer $FLASHGUARD_ADMIN_KEY"`);
  if (body !== undefined) parts.push("-H 'Content-Type: application/json'", `-d '${JSON.stringify(body).replaceAll("'", "'\\''")}'`);
  const text = parts.join(" ");
  return (
    <details>
      <summary className="cursor-pointer text-soft">curl</summary>
      <div className="mt-2 flex items-start gap-2"><pre className="min-w-0 flex-1 break-all whitespace-pre-wrap">{text}</pre><Copy text={text} /></div>
    </details>
  );
}
