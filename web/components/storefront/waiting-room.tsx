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
        ? "Sold out. Stay if you like: when units come back, it goes on from your place."
        : place.position === null
          ? "You are in the draw. The order is drawn by lot at the opening."
          : place.outlook === "unlikely"
            ? "There are more people before you than units. You may wait for units that come back."
            : "You are in line. This page tells you when it is your turn; a reload keeps your place.";
  return (
    <Panel
      title="Waiting room"
      aside={
        <Pill tone={admitted ? "good" : place ? "info" : "soft"} busy={!!place && !admitted}>
          {admitted ? "your turn" : place ? "waiting" : "not in line"}
        </Pill>
      }
    >
      {!place && (
        <p>
          {before && rules.mode === "lottery"
            ? "Whoever takes a ticket before the opening is in the draw: when you come does not matter."
            : "Buyers are let in one after the other. First come, first served."}
        </p>
      )}
      {place && !admitted && place.position !== null && (
        <dl className="grid gap-2 sm:grid-cols-3">
          <Fact name="Your place">{count(place.position)}</Fact>
          <Fact name="In line">{count(place.waiting ?? 0)}</Fact>
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
            {room.busy ? "Working…" : "Take a ticket"}
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
        The order can be checked: the seed of the lottery was fixed beforehand, as{" "}
        <code className="break-all">{rules.commitment}</code>.
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
