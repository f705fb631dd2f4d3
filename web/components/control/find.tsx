"use client";

import { useState } from "react";
import { api, bearer, exact, type Entry, type Item, type Place, type Reservation, type Right } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { usePages, useRead } from "@/lib/use-read";
import { Copy } from "../curl";
import { ActionMessage, Empty, Panel, Pill, Text, type Tone } from "../ui";
import { Field, Select, textOf } from "./field";
import { Listed } from "./listed";
import { ManageReservation } from "./manage-reservation";
import { Lines, units } from "./orders";
import { useTexts } from "./texts";

export const RESERVATION_TONES: Record<Reservation["status"], Tone> = {
  held: "warn",
  confirmed: "good",
  released: "soft",
  expired: "soft",
  cancelled: "bad",
};
const STATUSES = ["held", "confirmed", "released", "expired", "cancelled"] as const;
type Status = (typeof STATUSES)[number];
type Question = { by: "customer" | "reference" | "id"; text: string; status: Status | null };

/** Finds what a customer holds, ordered or waits for: by the customer, by the shop's reference, or by an id. */
export function Find({
  sale,
  items,
  admin,
  may,
}: {
  sale: string;
  items: Item[];
  admin: string;
  may: (right: Right) => boolean;
}) {
  const t = useTexts().find;
  const [asked, setAsked] = useState<Question | null>(null);
  return (
    <Panel title={t.title}>
      <form
        role="search"
        aria-label={t.title}
        className="grid grid-cols-2 items-end gap-3 md:grid-cols-[auto_1fr_auto_auto]"
        onSubmit={(event) => {
          event.preventDefault();
          const fields = new FormData(event.currentTarget);
          const by = textOf(fields, "by");
          setAsked({
            by: by === "reference" || by === "id" ? by : "customer",
            text: textOf(fields, "text"),
            status: STATUSES.find((status) => status === textOf(fields, "status")) ?? null,
          });
        }}
      >
        <Select
          label={t.by}
          name="by"
          options={[
            ["customer", t.customer],
            ["reference", t.reference],
            ["id", t.id],
          ]}
        />
        <Field label={t.text} name="text" />
        <Select
          label={t.status}
          name="status"
          options={[["", t.any], ...STATUSES.map((status) => [status, t.statuses[status]] as const)]}
        />
        <button className="btn btn-main">{t.find}</button>
      </form>
      <p className="mt-2 mb-4 text-xs text-soft">{t.hint}</p>
      {asked?.by === "id" && asked.text ? (
        <ById key={asked.text} sale={sale} id={asked.text} admin={admin} items={items} may={may} />
      ) : (
        asked && <Found sale={sale} asked={asked} admin={admin} items={items} may={may} />
      )}
    </Panel>
  );
}

type Shown = { admin: string; sale: string; items: Item[]; may: (right: Right) => boolean };

function Found({ asked, ...shown }: { asked: Question } & Shown) {
  const t = useTexts().find;
  const { sale, admin } = shown;
  const pages = usePages(`${admin} ${sale} ${JSON.stringify(asked)}`, async (cursor, signal) => {
    const query = {
      limit: 20,
      ...(cursor && { cursor }),
      ...(asked.text && asked.by !== "id" && { [asked.by]: asked.text }),
      ...(asked.status && { status: asked.status }),
    };
    const call = { params: { path: { sale }, query }, headers: bearer(admin), signal };
    const answer = await api.GET("/v1/sales/{sale}/reservations", call);
    return { ...answer, data: answer.data && { ...answer.data, data: exact<Reservation[]>(answer.data.data) } };
  });
  return (
    <Listed
      pages={pages}
      label={t.found}
      columns={[t.status, t.customer, t.units, t.created, t.id]}
      empty={<Empty title={t.none}>{t.complete}</Empty>}
    >
      {(row) => <Row key={row.id} found={row} {...shown} changed={pages.again} />}
    </Listed>
  );
}

/** A reservation as a row, with what can be done about it below. */
function Row({ found, changed, items, admin, may }: { found: Reservation; changed: () => void } & Shown) {
  const t = useTexts().find;
  const [open, setOpen] = useState(false);
  return (
    <>
      <tr>
        <td>
          <span className="flex items-center gap-2">
            <Pill tone={RESERVATION_TONES[found.status]}>{t.statuses[found.status]}</Pill>
            <button
              type="button"
              className="btn btn-small"
              aria-expanded={open}
              aria-label={t.manageOf(found.id)}
              onClick={() => setOpen(!open)}
            >
              {t.manage}
            </button>
          </span>
        </td>
        <td>
          <Text>{found.customer}</Text>
        </td>
        <td className="num">
          {count(units(found.items))}
          {items.length > 1 && <Lines lines={found.items} />}
        </td>
        <td>{time(found.created_at)}</td>
        <td>
          <span className="flex items-center gap-2">
            <code>{found.id}</code>
            <Copy text={found.id} />
          </span>
          {found.reference && (
            <span className="block text-xs text-soft">
              <Text>{found.reference}</Text>
            </span>
          )}
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={5} className="!whitespace-normal">
            <ManageReservation reservation={found} items={items} admin={admin} may={may} changed={changed} />
          </td>
        </tr>
      )}
    </>
  );
}

type Thing = { hold: Reservation } | { entry: Entry } | { place: Place };

/** What has an id: a hold or an order, else a place in the waiting list, else a ticket of the waiting room. */
function ById({ id, ...shown }: { id: string } & Shown) {
  const t = useTexts().find;
  const { sale, admin, may } = shown;
  const { busy, result, act } = useAction();
  const headers = bearer(admin);
  const params = { path: { id } };
  const read = useRead<Thing>(`${admin} ${id}`, async (signal) => {
    const hold = await api.GET("/v1/reservations/{id}", { params, headers, signal });
    if (hold.data) return { ...hold, data: { hold: exact<Reservation>(hold.data) } };
    const entry = await api.GET("/v1/waiting-list/{id}", { params, headers, signal });
    if (entry.data) return { ...entry, data: { entry: exact<Entry>(entry.data) } };
    const at = { path: { sale, ticket: id } };
    const place = await api.GET("/v1/sales/{sale}/tickets/{ticket}", { params: at, headers, signal });
    if (place.data) return { ...place, data: { place: exact<Place>(place.data) } };
    return { error: hold.error };
  });
  const leave = (what: "entry" | "place") => {
    if (!confirm(what === "entry" ? t.sureEntry : t.sureTicket)) return;
    void act({
      name: `leave:${id}`,
      call: async ({ signal }) => {
        const left =
          what === "entry"
            ? await api.DELETE("/v1/waiting-list/{id}", { params, headers, signal })
            : await api.POST("/v1/sales/{sale}/tickets/{ticket}/leave", {
                params: { path: { sale, ticket: id } },
                headers,
                signal,
              });
        return { response: left.response, error: left.error, data: left.response.ok || undefined };
      },
      done: () => {
        read.again();
        return t.left;
      },
    });
  };
  const found = read.data;
  if (!found) return read.error ? <Empty title={t.none}>{t.noId}</Empty> : null;
  if ("hold" in found)
    return (
      <Listed
        pages={{ ...read, rows: [found.hold], older: null }}
        label={t.found}
        columns={[t.status, t.customer, t.units, t.created, t.id]}
        empty={null}
      >
        {(row) => <Row key={row.id} found={row} {...shown} changed={read.again} />}
      </Listed>
    );
  const gone = "entry" in found && found.entry.status !== "waiting" && found.entry.status !== "offered";
  return (
    <div className="grid gap-3">
      {"entry" in found ? (
        <p>
          {t.entry(
            <Text>{found.entry.customer}</Text>,
            t.entries[found.entry.status],
            found.entry.place === null ? null : count(found.entry.place),
          )}
        </p>
      ) : (
        <p>
          {t.ticket(t.tickets[found.place.status], found.place.position === null ? null : count(found.place.position))}
        </p>
      )}
      {may("sell") && !gone && (
        <div>
          <button
            type="button"
            className="btn btn-bad"
            disabled={busy}
            onClick={() => leave("entry" in found ? "entry" : "place")}
          >
            {t.remove}
          </button>
        </div>
      )}
      <ActionMessage result={result} />
    </div>
  );
}
