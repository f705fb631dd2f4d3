"use client";

import { useRef, useState, type ReactNode } from "react";
import { detailOf, type Problem } from "./api/client";
import { messages } from "./language";
import { intentDone, intentKey } from "./intent";
import { RETRYABLE } from "./retry";

/** The page reports a missing answer after this time. */
export const ANSWER_MS = 30_000;
/** Buttons stay disabled for this long after a success, so that the second click of a double click does nothing. */
export const QUIET_MS = 700;

export type Answer<T> = { data?: T; error?: unknown; response?: Response };
/** The headers and the signal that a call passes on. */
export type KeyedRequest = { headers: { "idempotency-key": string }; signal: AbortSignal };

export type Intent<T> = {
  /** The action of the button, unique on the page. */
  name: string;
  /** The input of the action: different content is a different intent, with a key of its own. */
  content?: unknown;
  call: (request: KeyedRequest) => Promise<Answer<T>>;
  /** Return the sentence that reports success. */
  done: (data: T) => ReactNode;
  refused?: (problem: Problem | undefined) => void;
};

export type ActionResult =
  | { state: "working"; text: string }
  | { state: "refused"; text: string; detail: string }
  | { state: "done"; text: ReactNode }
  | { state: "unanswered"; text: string; again: () => void };

/** Run one action of the user at a time, and report its result. */
export function useAction() {
  const [busy, setBusy] = useState(false);
  const [result, setResult] = useState<ActionResult | null>(null);
  const working = useRef(false);

  async function act<T>(intent: Intent<T>): Promise<void> {
    if (working.current) return;
    working.current = true;
    setBusy(true);
    const { name } = intent;
    const { action: t, common } = messages();
    setResult({ state: "working", text: common.working });
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
      setResult({ state: "done", text: replayed ? [text, ` ${t.earlier}`] : text });
      await new Promise((over) => setTimeout(over, QUIET_MS));
    } else if (!answer || !problem?.code) {
      setResult({
        state: "unanswered",
        again,
        text: `${t.unanswered} ${t.repeats}`,
      });
    } else if (RETRYABLE.has(problem.code)) {
      setResult({
        state: "unanswered",
        again,
        text: `${detailOf(problem)} ${t.repeats}`,
      });
    } else {
      setResult({ state: "refused", text: t.refused, detail: detailOf(problem) });
    }
    if (answer?.data === undefined) intent.refused?.(problem);
    working.current = false;
    setBusy(false);
  }
  return { busy, result, act };
}
