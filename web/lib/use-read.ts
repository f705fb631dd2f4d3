"use client";

import { useCallback, useEffect, useRef, useState } from "react";
import { detailOf, type Problem } from "./api/client";
import type { Answer } from "./use-action";

const TIMEOUT_MS = 10_000;

export type Read<T> = {
  data: T | null;
  /** Why the newest read failed; empty: it did not. `data` is then the one before. */
  error: string;
  code: string | null;
  again: () => void;
};

/** Read something once for each `name`, which stands for all that the call depends on, and every `every_ms`. */
export function useRead<T>(
  name: string,
  read: (signal: AbortSignal) => Promise<Answer<T>>,
  every_ms: number | null = null,
): Read<T> {
  const [state, setState] = useState({ name, data: null as T | null, error: "", code: null as string | null });
  const [round, setRound] = useState(0);
  const latest = useRef(read);
  useEffect(() => {
    latest.current = read;
  });
  useEffect(() => {
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const ask = async () => {
      const skip = document.hidden && every_ms !== null;
      const answer = skip ? null : await latest.current(AbortSignal.timeout(TIMEOUT_MS)).catch(() => null);
      if (cancelled) return;
      if (!skip) {
        const error = answer?.data === undefined ? detailOf(answer?.error) : "";
        const code = error ? ((answer?.error as Problem | undefined)?.code ?? null) : null;
        setState((old) => ({ name, error, code, data: answer?.data ?? (old.name === name ? old.data : null) }));
      }
      if (every_ms !== null) timer = setTimeout(() => void ask(), every_ms);
    };
    void ask();
    return () => {
      cancelled = true;
      clearTimeout(timer);
    };
  }, [name, round, every_ms]);
  const again = useCallback(() => setRound((number) => number + 1), []);
  return state.name === name ? { ...state, again } : { data: null, error: "", code: null, again };
}

type Page<T> = { data: T[]; next_cursor: string | null };

export type Pages<T> = {
  rows: T[] | null;
  /** Read the next page; null: there is none. */
  older: (() => void) | null;
  error: string;
  code: string | null;
  again: () => void;
};

/** Read a list page by page. `every_ms`: how often the first page is read again, until an older one is read. */
export function usePages<T>(
  name: string,
  read: (cursor: string | undefined, signal: AbortSignal) => Promise<Answer<Page<T>>>,
  every_ms: number | null = null,
): Pages<T> {
  const [tail, setTail] = useState<{ name: string; head: Page<T>; rows: T[]; next: string | null } | null>(null);
  const [failed, setFailed] = useState("");
  const reading = useRef(false);
  const [paged, setPaged] = useState("");
  const first = useRead(name, (signal) => read(undefined, signal), paged === name ? null : every_ms);
  const more = tail?.name === name ? tail : null;
  // The first page stays as it was when older ones were read: a newer one has other rows at its end.
  const head = more ? more.head : first.data;
  const next = more ? more.next : (first.data?.next_cursor ?? null);

  async function older(head: Page<T>, cursor: string) {
    if (reading.current) return;
    reading.current = true;
    setPaged(name);
    const answer = await read(cursor, AbortSignal.timeout(TIMEOUT_MS)).catch(() => null);
    reading.current = false;
    setFailed(answer?.data ? "" : detailOf(answer?.error));
    const page = answer?.data;
    if (!page) return;
    const before = more?.rows ?? [];
    setTail({ name, head, rows: [...before, ...page.data], next: page.next_cursor });
  }
  return {
    rows: head && [...head.data, ...(more?.rows ?? [])],
    older: head && next ? () => void older(head, next) : null,
    error: first.error || failed,
    code: first.code,
    again: () => {
      setTail(null);
      setPaged("");
      first.again();
    },
  };
}
