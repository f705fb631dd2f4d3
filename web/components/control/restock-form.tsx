"use client";

import { useState } from "react";
import type { Item, Pool } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Text } from "../ui";

/** A change of stock: units to add, or the units that were counted. */
export type Restock = { delta: number } | { stock: number };

/** What happened, for the operator. */
export function Restocked({ change, item }: { change: Restock; item: Item | Pool }) {
  return (
    <>
      {"delta" in change ? (
        <>
          Restocked <Text>{item.name}</Text> by {count(change.delta)}
        </>
      ) : (
        <>
          Counted <Text>{item.name}</Text>
        </>
      )}
      : its stock is {count(item.stock ?? 0)}.
    </>
  );
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
  const [counted, setCounted] = useState(false);
  return (
    <form
      className="flex min-w-0 flex-wrap items-end gap-2"
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const units = Number(new FormData(form).get("units"));
        restock(item, counted ? { stock: units } : { delta: units }, form);
      }}
    >
      <label className="label min-w-0 text-xs">
        <span>
          {counted ? "Counted units" : "Restock"}
          {/* The name stands above the bar. */}
          <span className="sr-only">
            {counted && " of"} <Text>{item.name}</Text>
          </span>{" "}
          {!counted && "by"}
        </span>
        <input
          className="field !min-h-8 !w-28"
          name="units"
          type="number"
          min={counted ? 0 : undefined}
          placeholder={counted ? count(item.stock ?? 0) : "10, or −10"}
          required
        />
      </label>
      <button className="btn" disabled={busy}>
        {counted ? "Set" : "Restock"}
      </button>
      <button
        type="button"
        className="link min-h-8 text-xs"
        onClick={() => setCounted(!counted)}
        title={counted ? "Add units, or take them away" : "Enter what was counted, with the units held or sold"}
      >
        {counted ? "add units" : "counted?"}
      </button>
    </form>
  );
}
