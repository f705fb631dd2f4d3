"use client";

import { useState } from "react";
import type { Item, Pool } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Text } from "../ui";
import { textOf } from "./field";
import { useTexts } from "./texts";

/** A change of stock: units to add, or the units that were counted, and why. */
export type Restock = ({ delta: number } | { stock: number }) & { reason: string };

/** What happened, for the operator. */
export function Restocked({ change, item }: { change: Restock; item: Item | Pool }) {
  const t = useTexts().restock;
  const [name, stock] = [<Text key="name">{item.name}</Text>, count(item.stock ?? 0)];
  return <>{"delta" in change ? t.restocked(name, count(change.delta), stock) : t.counted(name, stock)}</>;
}

export function RestockForm({
  item,
  busy,
  restock,
}: {
  item: Item | Pool;
  busy: boolean;
  restock: (item: Item | Pool, change: Restock, form: HTMLFormElement) => void;
}) {
  const t = useTexts().restock;
  const [counted, setCounted] = useState(false);
  return (
    <form
      className="flex min-w-0 flex-wrap items-end gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const fields = new FormData(form);
        const [units, reason] = [Number(textOf(fields, "units")), textOf(fields, "reason") || t.usualReason];
        restock(item, counted ? { stock: units, reason } : { delta: units, reason }, form);
      }}
    >
      <label className="label min-w-0 text-xs">
        {/* The name stands above the bar. */}
        <span>{(counted ? t.countOf : t.restockBy)(<SrOnly>{item.name}</SrOnly>)}</span>
        <input
          className="field !min-h-8 !w-28"
          name="units"
          type="number"
          min={counted ? 0 : undefined}
          placeholder={counted ? count(item.stock ?? 0) : t.example}
          required
        />
      </label>
      <label className="label min-w-0 text-xs">
        <span>{t.reasonOf(<SrOnly>{item.name}</SrOnly>)}</span>
        <input className="field !min-h-8 !w-36" name="reason" maxLength={128} placeholder={t.usualReason} />
      </label>
      <button className="btn" disabled={busy}>
        {counted ? t.set : t.restock}
      </button>
      <button
        type="button"
        className="link min-h-8 text-xs"
        onClick={() => setCounted(!counted)}
        title={counted ? t.addWhat : t.countWhat}
      >
        {counted ? t.addUnits : t.count}
      </button>
    </form>
  );
}

const SrOnly = ({ children }: { children: string }) => (
  <span className="sr-only">
    <Text>{children}</Text>
  </span>
);
