"use client";

import { api, bearer, exact, type Sale } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage } from "../ui";
import { Field, Fields, textOf } from "./field";
import { More } from "./more";
import {
  changedRules,
  FirstRules,
  LimitFields,
  limitsOf,
  MoreRules,
  rulesOf,
  useLimitRows,
  type Rules as RuleValues,
} from "./rule-fields";
import { useTexts } from "./texts";

/** The form for a sale's name, times, limits and other rules. Only what differs is sent. */
export function Rules({ sale, admin, replace }: { sale: Sale; admin: string; replace: (sale: Sale) => void }) {
  const t = useTexts().rules;
  const { busy, result, act } = useAction();
  const draft = sale.status === "draft";
  const [rows, setRows] = useLimitRows(sale.limits);

  function save(form: HTMLFormElement) {
    const fields = new FormData(form);
    const limits = limitsOf(fields, rows);
    const name = textOf(fields, "name");
    const body: Partial<RuleValues & Pick<Sale, "name" | "limits">> = {
      ...changedRules(rulesOf(fields), sale),
      ...(name !== sale.name && { name }),
      ...(JSON.stringify(limits) !==
        JSON.stringify(sale.limits.map(({ by, units, skus, hold_rules }) => ({ by, units, skus, hold_rules }))) && {
        limits,
      }),
    };
    void act({
      name: `rules:${sale.id}`,
      content: body,
      call: ({ headers, signal }) =>
        api.PATCH("/v1/sales/{sale}", {
          params: { path: { sale: sale.id } },
          headers: { ...bearer(admin), ...headers },
          signal,
          body,
        }),
      done: (now) => {
        replace(exact<Sale>(now));
        return Object.keys(body).length ? t.saved : t.same;
      },
    });
  }

  return (
    <More title={t.title} className="panel !p-0">
      <form
        className="grid gap-4"
        onSubmit={(event) => {
          event.preventDefault();
          save(event.currentTarget);
        }}
      >
        <Fields>
          <Field label={t.name} name="name" required maxLength={128} defaultValue={sale.name} />
          <FirstRules sale={sale} />
        </Fields>
        <MoreRules sale={sale} />
        {(draft || rows.length > 0) && <LimitFields rows={rows} change={setRows} fixed={!draft} />}
        <div>
          <button className="btn btn-main" disabled={busy}>
            {t.save}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
    </More>
  );
}
