"use client";

import { useState } from "react";
import { api, bearer, exact, type AdminAction } from "@/lib/api/client";
import { time } from "@/lib/format";
import { usePages } from "@/lib/use-read";
import { visible } from "@/lib/visible";
import { Curl } from "../curl";
import { Empty, Panel, Pill, Text, type Tone } from "../ui";
import { Field, momentOf, Select, textOf } from "./field";
import type { SectionProps } from "./frame";
import { Again, Listed } from "./listed";
import { useTexts } from "./texts";

type Outcome = AdminAction["outcome"];
const TONES: Record<Outcome, Tone> = { done: "good", replayed: "soft", refused: "warn", failed: "bad" };
const OUTCOMES = Object.keys(TONES) as Outcome[];
type Question = {
  actor?: string;
  operation?: string;
  target?: string;
  outcome?: Outcome;
  since?: string;
  until?: string;
};

/** What operators did: searched by who, what, about what and when, page by page. */
export function Log({ admin }: SectionProps) {
  const t = useTexts().log;
  const [asked, setAsked] = useState<Question>({});
  const pages = usePages(`${admin} ${JSON.stringify(asked)}`, async (cursor, signal) => {
    const query = { limit: 50, ...(cursor && { cursor }), ...asked };
    const answer = await api.GET("/v1/admin-log", { params: { query }, headers: bearer(admin), signal });
    return { ...answer, data: answer.data && { ...answer.data, data: exact<AdminAction[]>(answer.data.data) } };
  });
  function ask(fields: FormData) {
    const outcome = OUTCOMES.find((name) => name === textOf(fields, "outcome"));
    const [since, until] = [momentOf(fields, "since"), momentOf(fields, "until")];
    const [actor, operation, target] = ["actor", "operation", "target"].map((name) => textOf(fields, name));
    setAsked({
      ...(actor && { actor }),
      ...(operation && { operation }),
      ...(target && { target }),
      ...(outcome && { outcome }),
      ...(since && { since }),
      ...(until && { until }),
    });
  }
  return (
    <Panel title={t.title} aside={<Again again={pages.again} />}>
      <form
        role="search"
        aria-label={t.title}
        className="mb-4 grid grid-cols-2 items-end gap-3 md:grid-cols-3 xl:grid-cols-[1fr_1fr_1fr_auto_auto_auto_auto]"
        onSubmit={(event) => {
          event.preventDefault();
          ask(new FormData(event.currentTarget));
        }}
      >
        <Field label={t.actor} name="actor" placeholder="bootstrap" />
        <Field label={t.operation} name="operation" placeholder="POST /v1/keys" />
        <Field label={t.target} name="target" />
        <Select
          label={t.outcome}
          name="outcome"
          options={[["", t.any], ...OUTCOMES.map((name) => [name, t.outcomes[name]] as const)]}
        />
        <Field label={t.since} name="since" type="datetime-local" />
        <Field label={t.until} name="until" type="datetime-local" />
        <button className="btn btn-main">{t.find}</button>
      </form>
      <Listed
        pages={pages}
        label={t.title}
        columns={[t.at, t.actor, t.operation, t.target, t.outcome, t.detail]}
        empty={<Empty title={Object.keys(asked).length ? t.noMatch : t.none}>{t.whole}</Empty>}
      >
        {(row) => (
          <tr key={row.id}>
            <td>{time(row.at)}</td>
            <td>
              <Text>{row.actor_name ?? row.actor}</Text>
              <span className="block text-xs text-soft">
                <Text>{[row.address, row.agent].filter(Boolean).join(", ")}</Text>
              </span>
            </td>
            <td>
              <code>{row.operation}</code>
            </td>
            <td>
              <Text>{row.target || "–"}</Text>
            </td>
            <td>
              <Pill tone={TONES[row.outcome]}>{t.outcomes[row.outcome]}</Pill>
              {row.code && <code className="block text-xs text-soft">{row.code}</code>}
            </td>
            <td lang="en">
              {Object.keys(row.detail).length > 0 && (
                <details className="w-64 font-mono text-xs">
                  <summary className="cursor-pointer truncate">{visible(JSON.stringify(row.detail))}</summary>
                  <pre className="whitespace-pre-wrap">
                    <Text>{JSON.stringify(row.detail)}</Text>
                  </pre>
                </details>
              )}
            </td>
          </tr>
        )}
      </Listed>
      <Curl path="/v1/admin-log" admin />
    </Panel>
  );
}
