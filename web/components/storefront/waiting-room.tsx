"use client";

import type { Sale } from "@/lib/api/client";
import { count, countdown, duration } from "@/lib/format";
import type { Room } from "@/lib/use-room";
import { Panel, Pill } from "../ui";

/** The buyer's place in the waiting room. Screen readers announce its sentence, but not the changing numbers. */
export function WaitingRoom({ sale, room, now }: { sale: Sale; room: Room; now: number }) {
  const { place } = room;
  const rules = sale.waiting_room;
  if (!rules) return null;
  const before = sale.status === "draft" || sale.status === "scheduled";
  const soldOut = sale.status === "open" && sale.items.every((item) => item.available + item.held === 0);
  const left_ms = place?.admitted_until ? Date.parse(place.admitted_until) - now : 0;
  const admitted = place?.status === "admitted" && left_ms > 0;
  const explanation = !place
    ? room.message
    : admitted
      ? "It is your turn: you can buy now."
      : soldOut || place.outlook === "sold-out"
        ? "Sold out. You can stay: if units come back, you keep your place."
        : place.position === null
          ? "You are in the draw. Places are drawn at random when the sale opens."
          : place.outlook === "unlikely"
            ? "Units may run out before your turn. You can wait for units that come back."
            : "You are in the queue. This page tells you when it is your turn. A reload keeps your place.";
  return (
    <Panel
      title="Waiting room"
      aside={
        <Pill tone={admitted ? "good" : place ? "info" : "soft"} busy={!!place && !admitted}>
          {admitted ? "your turn" : place ? "waiting" : "not in the queue"}
        </Pill>
      }
    >
      {!place && (
        <p>
          {before && rules.mode === "lottery"
            ? "Get a ticket before the sale opens to be in the draw. It does not matter when you get it."
            : "Buyers are admitted one after the other: first come, first served."}
        </p>
      )}
      {place && !admitted && place.position !== null && (
        <dl className="grid gap-2 sm:grid-cols-3">
          <Fact name="Your place">{count(place.position)}</Fact>
          <Fact name="In the queue">{count(place.waiting ?? 0)}</Fact>
          <Fact name="Expected wait">
            {place.expected_wait_seconds === null
              ? "not known"
              : `about ${duration(place.expected_wait_seconds * 1000)}`}
          </Fact>
        </dl>
      )}
      {place && place.position === null && !admitted && (
        <dl>
          <Fact name="In the draw">{count(place.waiting ?? 0)}</Fact>
        </dl>
      )}
      {admitted && (
        <dl>
          <Fact name="Your turn lasts">{countdown(left_ms)}</Fact>
        </dl>
      )}
      <p className="mt-3 empty:hidden" aria-live="polite">
        {explanation}
      </p>
      <div className="mt-4 flex flex-wrap gap-3">
        {!place && (
          <button
            className="btn btn-main min-h-11"
            disabled={room.busy || sale.status === "closed"}
            onClick={() => void room.requestTicket()}
          >
            {room.busy ? "Working…" : "Get a ticket"}
          </button>
        )}
        {place && (
          <button className="btn" disabled={room.busy} onClick={() => void room.leave()}>
            Leave
          </button>
        )}
      </div>
      {place && room.message && (
        <p role="alert" className="mt-3 text-bad">
          {room.message}
        </p>
      )}
      <p className="mt-3 text-xs text-soft">
        You can verify the order: the seed of the lottery was fixed in advance by this hash:{" "}
        <code className="break-all">{rules.commitment}</code>
      </p>
    </Panel>
  );
}

const Fact = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div>
    <dt className="text-soft">{name}</dt>
    <dd className="text-xl font-semibold tracking-tight tabular-nums">{children}</dd>
  </div>
);
