"use client";

import { useRef, useState, type ReactNode } from "react";
import { sentence, type Problem } from "./api/client";
import { intentDone, intentKey } from "./intent";

/** How long an answer may take before the page says that there is none. */
export const ANSWER_MS = 30_000;
/** After a success the buttons stay disabled for this long: the rest of a double click is no second intent. */
export const QUIET_MS = 700;
/** Problems that may be over at the next try. */
const PASSING = new Set(["overloaded", "recovering", "request-in-flight", "rate-limited"]);

type Answer<T> = { data?: T; error?: unknown; response?: Response };
export type Request = { headers: { "idempotency-key": string }; signal: AbortSignal };

export type Intent<T> = {
  /** What the button does, unique on the page. */
  name: string;
  /** What it is done with: another content is another intent. */
  content?: unknown;
  call: (request: Request) => Promise<Answer<T>>;
  /** The sentence that says what happened. */
  done: (data: T) => ReactNode;
  refused?: (problem: Problem | undefined) => void;
};

export type Said =
  | { state: "working" | "refused"; text: string }
  | { state: "done"; text: ReactNode }
  | { state: "unanswered"; text: string; again: () => void };

/** One thing at a time that the page does for its user, and what came of it. */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [said, setSaid] = useState<Said | null>(null);
  const working = useRef(false);

  async function act<T>(intent: Intent<T>): Promise<void> {
    if (working.current) return;
    working.current = true;
    setBusy(true);
    const { name } = intent;
    setSaid({ state: "working", text: "Working…" });
    const request = {
      headers: { "idempotency-key": intentKey(name, intent.content) },
      signal: AbortSignal.timeout(ANSWER_MS),
    };
    const answer: Answer<T> | null = await intent.call(request).catch(() => null);
    const problem = answer?.error as Problem | undefined;
    const again = () => void act(intent);
    if (answer?.data !== undefined) {
      intentDone(name);
      const replayed = answer.response?.headers.get("Idempotent-Replayed") === "true";
      const text = intent.done(answer.data);
      setSaid({ state: "done", text: replayed ? [text, " The press before this one had done it."] : text });
      await new Promise((over) => setTimeout(over, QUIET_MS));
    } else if (!answer || !problem?.code) {
      setSaid({
        state: "unanswered",
        again,
        text: "FlashGuard did not answer, so this may be done or not. Try again: it is the same request, never a second one.",
      });
    } else if (PASSING.has(problem.code)) {
      setSaid({
        state: "unanswered",
        again,
        text: `${sentence(problem)} Try again: it is the same request, never a second one.`,
      });
    } else {
      setSaid({ state: "refused", text: `Refused. ${sentence(problem)}` });
    }
    if (answer?.data === undefined) intent.refused?.(problem);
    working.current = false;
    setBusy(false);
  }
  return { busy, said, act };
}
