"use client";

import { useState } from "react";
import { RotateCw } from "lucide-react";
import { api, bearer, exact, type Delivery, type ReplayBody } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { usePages } from "@/lib/use-read";
import { Curl } from "../../curl";
import { ActionMessage, Choice, Empty, Panel, Pill, Text, type Tone } from "../../ui";
import { Field, momentOf, Select, textOf } from "../field";
import { Again, Listed } from "../listed";
import { useTexts } from "../texts";

const TONES: Record<Delivery["state"], Tone> = { pending: "info", delivered: "good", failed: "bad" };
const EVERY_MS = 3_000;
const STATES = ["all", "pending", "delivered", "failed"] as const;
type Shown = (typeof STATES)[number];

/** The delivery log of an endpoint, filtered and page by page, and what is delivered again. */
export function Deliveries({ id, admin, pending }: { id: string; admin: string; pending: number }) {
  const t = useTexts().webhooks;
  const [shown, setShown] = useState<Shown>("all");
  const { busy, result, act } = useAction();
  const path = { id };
  const pages = usePages(
    `${admin} ${id} ${shown}`,
    async (cursor, signal) => {
      const query = { limit: 20, ...(shown !== "all" && { state: shown }), ...(cursor && { cursor: Number(cursor) }) };
      const call = { params: { path, query }, headers: bearer(admin), signal };
      const answer = await api.GET("/v1/webhooks/{id}/deliveries", call);
      return { ...answer, data: answer.data && { ...answer.data, data: exact<Delivery[]>(answer.data.data) } };
    },
    EVERY_MS,
  );
  const replay = (name: string, body: ReplayBody) =>
    void act({
      name: `replay:${id}:${name}`,
      content: body,
      call: ({ signal }) =>
        api.POST("/v1/webhooks/{id}/replay", { params: { path }, headers: bearer(admin), signal, body }),
      done: ({ replayed }) => {
        pages.again();
        return t.replayed(replayed, count(replayed));
      },
    });

  return (
    <Panel
      title={t.deliveries}
      aside={
        <div className="flex flex-wrap items-center gap-2">
          {pending > 0 && <Pill tone="info">{t.waiting(count(pending))}</Pill>}
          <Choice
            label={t.state}
            value={shown}
            onChange={setShown}
            options={STATES.map((state) => [state, t.states[state]] as const)}
          />
          <Again again={pages.again} />
        </div>
      }
    >
      <Listed
        pages={pages}
        label={t.deliveries}
        columns={[
          t.event,
          t.state,
          t.about,
          t.at,
          t.answer,
          <span key="again" className="sr-only">
            {t.again}
          </span>,
        ]}
        empty={<Empty title={shown === "all" ? t.noDelivery : t.noMatch}>{shown === "all" && t.sendTest}</Empty>}
      >
        {(row) => (
          <tr key={row.id}>
            <td>
              <code>{row.type}</code>
              <span className="block text-xs text-soft">
                <code>{row.message_id}</code>
              </span>
            </td>
            <td>
              <Pill tone={TONES[row.state]}>{t.states[row.state]}</Pill>
              {row.state === "pending" && row.next_attempt_at && row.attempts > 0 && (
                <span className="block text-xs text-soft">{t.nextAt(time(row.next_attempt_at))}</span>
              )}
            </td>
            <td>{row.reservation_id ? <code>{row.reservation_id}</code> : <Text>{row.sale_id || "–"}</Text>}</td>
            <td>{time(row.at)}</td>
            <td>
              {row.attempts === 0 ? "–" : t.attempts(row.attempts, count(row.attempts))}
              {row.status !== null && `, HTTP ${row.status}`}
              {row.took_ms !== null && `, ${count(row.took_ms)} ms`}
              {row.error && (
                <span lang="en" className="block text-xs text-bad">
                  <Text>{row.error}</Text>
                </span>
              )}
            </td>
            <td>
              {row.state !== "pending" && (
                <button
                  type="button"
                  className="btn btn-small"
                  disabled={busy}
                  aria-label={`${t.again} ${row.message_id}`}
                  onClick={() => replay(String(row.id), { deliveries: [row.id] })}
                >
                  <RotateCw size={13} aria-hidden />
                  {t.again}
                </button>
              )}
            </td>
          </tr>
        )}
      </Listed>
      <form
        aria-label={t.replay}
        className="mt-4 grid grid-cols-2 items-end gap-3 border-t border-line pt-4 md:grid-cols-[1fr_1fr_1fr_auto]"
        onSubmit={(event) => {
          event.preventDefault();
          const fields = new FormData(event.currentTarget);
          const state = textOf(fields, "state");
          const [since, until] = [momentOf(fields, "since"), momentOf(fields, "until")];
          if (!since && !until && !confirm(t.sureReplay)) return;
          replay("many", { since, until, state: state === "failed" || state === "delivered" ? state : null });
        }}
      >
        <Select
          label={t.which}
          name="state"
          defaultValue="failed"
          options={[
            ["failed", t.onlyFailed],
            ["delivered", t.onlyDelivered],
            ["", t.both],
          ]}
        />
        <Field label={t.since} name="since" type="datetime-local" />
        <Field label={t.until} name="until" type="datetime-local" />
        <button className="btn" disabled={busy}>
          <RotateCw size={13} aria-hidden />
          {t.replay}
        </button>
      </form>
      <ActionMessage result={result} />
      <Curl path={`/v1/webhooks/${id}/deliveries?state=failed`} admin />
    </Panel>
  );
}
