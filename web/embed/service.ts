import type { Payment, Problem, Reservation, Sale, SaleEvents } from "@/lib/api/client";
import { openStream, type Connection } from "@/lib/event-stream";
import { backoff_ms, RETRYABLE } from "@/lib/retry";
import { withStock } from "@/lib/stock";

const TIMEOUT_MS = 10_000;
const POLL_MS = 2_000;
const MAX_TRIES = 8;
const NO_SUCH = new Set([404, 422]);

/** An answer, or why there is none. `status` is 0 where the service did not answer. */
export type Reply<T> = { data?: T; problem?: Problem; status: number };

export type Insisted = {
  body?: unknown;
  key?: string;
  onBusy: () => void;
  isFinal?: (problem: Problem) => boolean;
};

/** The calls of one sale's buyer. */
export class Service {
  constructor(
    readonly api: string,
    readonly sale: string,
    readonly token: () => string,
  ) {}

  async call<T>(method: "GET" | "POST", path: string, body?: unknown, key?: string): Promise<Reply<T>> {
    const token = this.token();
    const headers: Record<string, string> = {
      ...(token && { Authorization: `Bearer ${token}` }),
      ...(body !== undefined && { "Content-Type": "application/json" }),
      ...(key && { "Idempotency-Key": key }),
    };
    try {
      const answer = await fetch(this.api + path, {
        method,
        headers,
        body: body === undefined ? undefined : JSON.stringify(body),
        credentials: "omit",
        signal: AbortSignal.timeout(TIMEOUT_MS),
      });
      const content: unknown = await answer.json();
      return answer.ok
        ? { data: content as T, status: answer.status }
        : { problem: content as Problem, status: answer.status };
    } catch {
      return { status: 0 };
    }
  }

  /**
   * Send a request, and repeat it while the service is busy or does not answer, unless `isFinal` says that the problem
   * stays. It takes effect once: with one key, or because the call is one that may be repeated.
   */
  async insist<T>(path: string, { body, key, onBusy, isFinal }: Insisted): Promise<Reply<T>> {
    for (let attempt = 0; ; attempt++) {
      const reply = await this.call<T>("POST", path, body, key);
      const retry = reply.problem
        ? RETRYABLE.has(reply.problem.code) && !isFinal?.(reply.problem)
        : reply.data === undefined;
      if (!retry || attempt === MAX_TRIES) return reply;
      onBusy();
      const wait_ms = Math.max(backoff_ms(attempt), (reply.problem?.retry_after_seconds ?? 0) * 1000);
      await new Promise((over) => setTimeout(over, wait_ms));
    }
  }

  reservation = (id: string) => this.call<Reservation>("GET", `/v1/reservations/${encodeURIComponent(id)}`);
  payments = (id: string) =>
    this.call<{ data: Payment[] }>("GET", `/v1/reservations/${encodeURIComponent(id)}/payments`);

  /** Follow the sale by events, or by polls where there are none; return what ends it. */
  follow(show: (sale: Sale) => void, connected: (now: Connection | "missing" | "forbidden") => void): () => void {
    const path = `/v1/sales/${encodeURIComponent(this.sale)}`;
    let sale: Sale | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let polling = false;
    let over = false;
    const update = (newest: Sale) => show((sale = newest));
    const poll = async () => {
      const reply = await this.call<Sale>("GET", path);
      if (over || !polling) return;
      if (reply.data) update(reply.data);
      connected(
        reply.data
          ? "live"
          : NO_SUCH.has(reply.status)
            ? "missing"
            : reply.status === 401 || reply.status === 403
              ? "forbidden"
              : "lost",
      );
      if (NO_SUCH.has(reply.status)) return end();
      timer = setTimeout(() => void poll(), POLL_MS * (1 + Math.random()));
    };
    const close = openStream(
      `${this.api}${path}/events`,
      ["sale", "stock"],
      (state) => {
        const was = polling;
        polling = state === "refused";
        if (polling && !was) void poll();
        if (!polling) {
          clearTimeout(timer);
          connected(state as Connection);
        }
      },
      (name, data) => {
        if (name === "sale") update(data as Sale);
        else if (name === "stock" && sale) update(withStock(sale, data as SaleEvents["stock"]));
      },
    );
    function end() {
      over = true;
      clearTimeout(timer);
      close();
    }
    return end;
  }
}
