"use client";

import { RotateCw } from "lucide-react";
import type { Said } from "@/lib/use-action";
import type { Connection } from "@/lib/use-events";
import { visible } from "@/lib/visible";

const TONES = { good: "text-good", warn: "text-warn", bad: "text-bad", info: "text-info", soft: "text-soft" };
export type Tone = keyof typeof TONES;

/** A status: a dot and its word, never colour alone. */
export function Pill({ tone, busy, children }: { tone: Tone; busy?: boolean; children: React.ReactNode }) {
  return (
    <span
      className={`inline-flex items-center gap-1.5 rounded-full border border-line bg-panel px-2 py-px text-xs font-medium whitespace-nowrap ${TONES[tone]}`}
    >
      <span aria-hidden className={`size-1.5 rounded-full bg-current ${busy ? "pulse" : ""}`} />
      {children}
    </span>
  );
}

/** Text from outside: its own direction, broken where it must be, no character unseen. */
export const Text = ({ children, className = "" }: { children: string; className?: string }) => (
  <bdi className={`foreign ${className}`}>{visible(children)}</bdi>
);

export function Panel({
  title,
  aside,
  children,
  className = "",
}: {
  title: React.ReactNode;
  aside?: React.ReactNode;
  children: React.ReactNode;
  className?: string;
}) {
  return (
    <section className={`panel ${className}`}>
      <div className="mb-3 flex min-h-7 flex-wrap items-center justify-between gap-x-3 gap-y-2">
        <h2>{title}</h2>
        {aside}
      </div>
      {children}
    </section>
  );
}

/** A page's name, one sentence, and what one can do with all of it. */
export function PageHead({
  title,
  aside,
  children,
}: {
  title: React.ReactNode;
  aside?: React.ReactNode;
  children?: React.ReactNode;
}) {
  return (
    <div className="flex flex-wrap items-end justify-between gap-3">
      <div className="grid max-w-3xl gap-1">
        <h1>{title}</h1>
        {children && <p className="text-soft">{children}</p>}
      </div>
      {aside && <div className="flex flex-wrap items-center gap-2">{aside}</div>}
    </div>
  );
}

/** Nothing to show yet, and what to do about it. */
export function Empty({ title, children }: { title: string; children?: React.ReactNode }) {
  return (
    <div className="grid justify-items-center gap-1 rounded-md border border-dashed border-line px-4 py-8 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-soft">{children}</div>}
    </div>
  );
}

/** Wide content that scrolls by itself, by keyboard too. */
export function Scroll({
  label,
  children,
  className = "",
}: {
  label: string;
  children: React.ReactNode;
  className?: string;
}) {
  return (
    <div className={`scroll ${className}`} tabIndex={0} role="region" aria-label={label}>
      {children}
    </div>
  );
}

/** One figure: what it is, how much, and against what. */
export function Stat({
  label,
  value,
  hint,
  tone,
  stale,
  big,
  children,
}: {
  label: string;
  value: string;
  hint?: React.ReactNode;
  tone?: Tone;
  stale?: boolean;
  big?: boolean;
  children?: React.ReactNode;
}) {
  return (
    <div role="group" aria-label={label} className="panel flex flex-col gap-1">
      <p className="flex min-h-6 items-center justify-between gap-2 text-soft">
        {label}
        {stale && <Pill tone="warn">stale</Pill>}
      </p>
      <p
        className={`${big ? "text-3xl sm:text-4xl" : "text-2xl"} leading-tight font-semibold tracking-tight ${tone ? TONES[tone] : ""} ${stale ? "stale" : ""}`}
      >
        {value}
      </p>
      {hint && <p className="text-xs text-soft">{hint}</p>}
      {children && <div className="mt-auto pt-2">{children}</div>}
    </div>
  );
}

/** Only the connection's state is announced; numbers that tick are not. */
export function Banner({ connection }: { connection: Connection }) {
  return (
    <div role="status" className="empty:hidden">
      {connection === "lost" && (
        <p className="rounded-lg border border-current bg-panel px-4 py-2 font-medium text-warn">
          Connection lost: trying again. The numbers below are stale.
        </p>
      )}
    </div>
  );
}

/** What came of the last press. */
export function Outcome({ said }: { said: Said | null }) {
  return (
    <>
      <div role="status" className="mt-3 empty:hidden">
        {said?.state === "working" ? (
          <p className="text-soft">{said.text}</p>
        ) : (
          said?.state === "done" && <p className="text-good">{said.text}</p>
        )}
      </div>
      {said?.state === "refused" && (
        <p role="alert" className="mt-3 text-bad">
          {said.text}
        </p>
      )}
      {said?.state === "unanswered" && (
        <div role="alert" className="mt-3 flex flex-wrap items-center gap-3 text-warn">
          <p>{said.text}</p>
          <button type="button" className="btn btn-small text-ink" onClick={said.again}>
            <RotateCw size={13} aria-hidden />
            Try again
          </button>
        </div>
      )}
    </>
  );
}

/** A few choices of which one holds. */
export function Choice<T extends string>({
  label,
  options,
  value,
  onChange,
}: {
  label: string;
  options: readonly (readonly [T, React.ReactNode])[];
  value: T;
  onChange: (value: T) => void;
}) {
  return (
    <div className="seg" role="group" aria-label={label}>
      {options.map(([name, text]) => (
        <button key={name} type="button" aria-pressed={name === value} onClick={() => onChange(name)}>
          {text}
        </button>
      ))}
    </div>
  );
}
