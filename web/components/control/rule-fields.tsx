import { useState } from "react";
import { Plus } from "lucide-react";
import type { Sale } from "@/lib/api/client";
import { Check, Field, Fields, localOf, momentOf, numberOf, Select, textOf } from "./field";
import { useTexts } from "./texts";

type Limit = Sale["limits"][number];
type Durability = Sale["hold_durability"];
const DURABILITIES: readonly Durability[] = ["memory", "disk", "replicated", "ledger"];

/** The rules of a sale that a form may change, as the API takes them. */
export type Rules = Pick<
  Sale,
  | "starts_at"
  | "ends_at"
  | "hold_seconds"
  | "hold_durability"
  | "limit_per_customer"
  | "max_held_per_customer"
  | "cool_down_after"
  | "cool_down_seconds"
  | "waiting_list"
  | "waiting_list_hold_seconds"
>;

/** Return the rules that the fields of a form describe. A rule without a value is null: the sale does not have it. */
export const rulesOf = (fields: FormData): Rules => ({
  starts_at: momentOf(fields, "starts_at"),
  ends_at: momentOf(fields, "ends_at"),
  hold_seconds: numberOf(fields, "hold_seconds") ?? 120,
  hold_durability: DURABILITIES.find((name) => name === textOf(fields, "hold_durability")) ?? "disk",
  limit_per_customer: numberOf(fields, "limit_per_customer"),
  max_held_per_customer: numberOf(fields, "max_held_per_customer"),
  cool_down_after: numberOf(fields, "cool_down_after"),
  cool_down_seconds: numberOf(fields, "cool_down_seconds"),
  waiting_list: numberOf(fields, "waiting_list"),
  waiting_list_hold_seconds: numberOf(fields, "waiting_list_hold_seconds"),
});

/** Return those of the rules that differ from a sale's. A form shows moments by the minute, so only minutes count. */
export function changedRules(rules: Rules, sale: Sale): Partial<Rules> {
  const same = (name: keyof Rules) =>
    name === "starts_at" || name === "ends_at"
      ? localOf(rules[name]) === localOf(sale[name])
      : rules[name] === sale[name];
  return Object.fromEntries(Object.entries(rules).filter(([name]) => !same(name as keyof Rules)));
}

const NUMBERS = [
  "max_held_per_customer",
  "cool_down_after",
  "cool_down_seconds",
  "waiting_list",
  "waiting_list_hold_seconds",
] as const;

/** How long a hold lasts and how many units a customer may have: what most sales set. */
export function FirstRules({ sale }: { sale?: Sale }) {
  const t = useTexts().rules;
  return (
    <>
      <Field
        label={t.hold_seconds}
        name="hold_seconds"
        type="number"
        min={1}
        max={86_400}
        required
        defaultValue={sale?.hold_seconds ?? 120}
      />
      <Field
        label={t.limit_per_customer}
        name="limit_per_customer"
        type="number"
        min={1}
        defaultValue={sale?.limit_per_customer ?? ""}
      />
    </>
  );
}

/** When the sale opens and ends, how safe a hold is, and the rules against farms and for the waiting list. */
export function MoreRules({ sale }: { sale?: Sale }) {
  const t = useTexts().rules;
  return (
    <Fields>
      <Field
        label={t.starts_at}
        name="starts_at"
        type="datetime-local"
        hint={t.local}
        defaultValue={localOf(sale?.starts_at ?? null)}
      />
      <Field label={t.ends_at} name="ends_at" type="datetime-local" defaultValue={localOf(sale?.ends_at ?? null)} />
      <Select
        label={t.hold_durability}
        name="hold_durability"
        defaultValue={sale?.hold_durability ?? "disk"}
        options={DURABILITIES.map((name) => [name, t.durabilities[name]] as const)}
      />
      {NUMBERS.map((name) => (
        <Field key={name} label={t[name]} name={name} type="number" min={1} defaultValue={sale?.[name] ?? ""} />
      ))}
    </Fields>
  );
}

export type LimitRow = Limit & { key: number };

/** Return the limits by identity that the fields of a form describe. */
export const limitsOf = (fields: FormData, rows: LimitRow[]): Limit[] =>
  rows.map(({ key }) => {
    const skus = textOf(fields, `skus-${key}`)
      .split(",")
      .map((sku) => sku.trim())
      .filter(Boolean);
    return {
      by: textOf(fields, `by-${key}`),
      units: Number(textOf(fields, `units-${key}`)),
      skus: skus.length ? skus : null,
      hold_rules: fields.has(`hold_rules-${key}`),
    };
  });

export const useLimitRows = (limits: readonly Limit[]) =>
  useState<LimitRow[]>(() => limits.map((limit, key) => ({ ...limit, key })));

/** The limits by identity. `fixed`: the sale is no draft, so that only their units change. */
export function LimitFields({
  rows,
  change,
  fixed,
}: {
  rows: LimitRow[];
  change: (rows: LimitRow[]) => void;
  fixed?: boolean;
}) {
  const t = useTexts().rules;
  return (
    <fieldset className="grid gap-3">
      <legend className="mb-1 font-medium">{t.limits}</legend>
      <p className="text-xs text-soft">{t.limitsWhat}</p>
      {rows.map((row, number) => (
        <fieldset key={row.key} className="grid grid-cols-2 items-end gap-3 md:grid-cols-5">
          <legend className="sr-only">{t.limitNumber(number + 1)}</legend>
          <Field
            label={t.by}
            name={`by-${row.key}`}
            required
            readOnly={fixed}
            pattern="[a-z][a-z0-9_\-]{0,31}"
            placeholder="card"
            defaultValue={row.by}
          />
          <Field label={t.units} name={`units-${row.key}`} type="number" min={1} required defaultValue={row.units} />
          <Field
            label={t.skus}
            name={`skus-${row.key}`}
            readOnly={fixed}
            placeholder={t.allItems}
            defaultValue={row.skus?.join(", ") ?? ""}
          />
          <Check
            label={t.hold_rules}
            name={`hold_rules-${row.key}`}
            defaultChecked={row.hold_rules}
            {...(fixed && { onClick: (event) => event.preventDefault() })}
          />
          {!fixed && (
            <button type="button" className="btn" onClick={() => change(rows.filter((other) => other.key !== row.key))}>
              {t.remove}
            </button>
          )}
        </fieldset>
      ))}
      {!fixed && (
        <div>
          <button
            type="button"
            className="btn"
            onClick={() => {
              const key = Math.max(-1, ...rows.map((row) => row.key)) + 1;
              change([...rows, { key, by: "", units: 1, skus: null, hold_rules: false }]);
            }}
          >
            <Plus size={13} aria-hidden />
            {t.addLimit}
          </button>
        </div>
      )}
    </fieldset>
  );
}
