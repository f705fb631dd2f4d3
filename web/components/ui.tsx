"use client";

import { RotateCw } from "lucide-react";
import type { ActionResult } from "@/lib/use-action";
import type { Connection } from "@/lib/use-events";
import { useMessages } from "@/lib/language";
import { visible } from "@/lib/visible";

const TONES = { good: "text-good", warn: "text-warn", bad: "text-bad", info: "text-info", soft: "text-soft" };
const PILL =
  "inline-flex items-center gap-1.5 rounded-full border border-line bg-panel px-2 py-px text-xs font-medium " +
  "whitespace-nowrap";
export type Tone = keyof typeof TONES;

/** A status as a coloured dot with text: colour alone never carries it. */
export function Pill({ tone, busy, children }: { tone: Tone; busy?: boolean; children: React.ReactNode }) {
  return (
    <span className={`${PILL} ${TONES[tone]}`}>
      <span aria-hidden className={`size-1.5 rounded-full bg-current ${busy ? "pulse" : ""}`} />
      {children}
    </span>
  );
}

/** Text from outside: isolated in its direction, wrapped anywhere, with invisible characters made visible. */
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

/** A page's title, one sentence about it, and its actions. */
export function PageHeader({
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

/** The state of a panel without content, with the next step. */
export function Empty({ title, children }: { title: string; children?: React.ReactNode }) {
  return (
    <div className="grid justify-items-center gap-1 rounded-md border border-dashed border-line px-4 py-8 text-center">
      <p className="font-medium">{title}</p>
      {children && <div className="max-w-md text-soft">{children}</div>}
    </div>
  );
}

/** Wide content with a scroll bar of its own, which the keyboard reaches too. */
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

/** One figure: its label, its value, and a hint that gives it scale. */
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
  const t = useMessages().common;
  const color = tone ? TONES[tone] : "";
  const size = big ? "text-3xl sm:text-4xl" : "text-2xl";
  return (
    <div role="group" aria-label={label} className="panel flex flex-col gap-1">
      <p className="flex min-h-6 items-center justify-between gap-2 text-soft">
        {label}
        {stale && <Pill tone="warn">{t.stale}</Pill>}
      </p>
      <p className={`leading-tight font-semibold tracking-tight ${size} ${color} ${stale ? "stale" : ""}`}>{value}</p>
      {hint && <p className="text-xs text-soft">{hint}</p>}
      {children && <div className="mt-auto pt-2">{children}</div>}
    </div>
  );
}

/** One figure in a `dl`, in large type. */
export const Fact = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div>
    <dt className="text-soft">{name}</dt>
    <dd className="text-xl font-semibold tracking-tight tabular-nums">{children}</dd>
  </div>
);

/** The lost connection. Screen readers announce it, but not the numbers that change. */
export function Banner({ connection }: { connection: Connection }) {
  const t = useMessages().common;
  return (
    <div role="status" className="empty:hidden">
      {connection === "lost" && (
        <p className="rounded-lg border border-current bg-panel px-4 py-2 font-medium text-warn">{t.lost}</p>
      )}
    </div>
  );
}

/** The result of the user's last action. */
export function ActionMessage({ result }: { result: ActionResult | null }) {
  const t = useMessages().action;
  return (
    <>
      <div role="status" className="mt-3 empty:hidden">
        {result?.state === "working" ? (
          <p className="text-soft">{result.text}</p>
        ) : (
          result?.state === "done" && <p className="text-good">{result.text}</p>
        )}
      </div>
      {result?.state === "refused" && (
        <p role="alert" className="mt-3 text-bad">
          {/* The API says why in English. */}
          {result.text} <span lang="en">{result.detail}</span>
        </p>
      )}
      {result?.state === "unanswered" && (
        <div role="alert" className="mt-3 flex flex-wrap items-center gap-3 text-warn">
          <p>{result.text}</p>
          <button type="button" className="btn btn-small text-ink" onClick={result.again}>
            <RotateCw size={13} aria-hidden />
            {t.tryAgain}
          </button>
        </div>
      )}
    </>
  );
}

/** Buttons of which exactly one is pressed. */
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
