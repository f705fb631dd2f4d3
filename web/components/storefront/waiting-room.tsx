"use client";

import type { Place, Sale } from "@/lib/api/client";
import { count, countdown, countdownTo, duration, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import type { Room } from "@/lib/use-room";
import type { Messages } from "@/messages/en";
import { Fact, Panel, Pill } from "../ui";

type State = "doors" | "outside" | "waiting" | "admitted" | "over";

/** The buyer's place in the waiting room. Screen readers announce its sentence, but not the changing numbers. */
export function WaitingRoom({ sale, room, now }: { sale: Sale; room: Room; now: number }) {
  const t = useMessages().room;
  const { place } = room;
  const rules = sale.waiting_room;
  if (!rules) return null;
  const before = sale.status === "draft" || sale.status === "scheduled";
  // A shared room goes on while another of its sales has units: then its place alone says when it is over.
  const soldOut =
    !rules.shared && sale.status === "open" && sale.items.every((item) => item.available + item.held === 0);
  const left_ms = place?.admitted_until ? Date.parse(place.admitted_until) - now : 0;
  const opens_ms = before && sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const state: State = rules.open_to_all
    ? "doors"
    : !place
      ? "outside"
      : place.status === "waiting"
        ? "waiting"
        : left_ms > 0
          ? "admitted"
          : "over";
  const pill = { doors: t.doorsOpen, outside: t.outside, waiting: t.waiting, admitted: t.yourTurn, over: t.over }[
    state
  ];
  const good = state === "doors" || state === "admitted";
  return (
    <Panel
      title={t.title}
      aside={
        <Pill tone={good ? "good" : state === "waiting" ? "info" : "soft"} busy={state === "waiting"}>
          {pill}
        </Pill>
      }
    >
      {state === "outside" && <p>{before && rules.mode === "lottery" ? t.drawBefore : t.queueBefore}</p>}
      <dl className="mt-2 grid grid-cols-2 gap-2 empty:hidden sm:grid-cols-3">
        {state !== "doors" && opens_ms > 0 && <Opens at={sale.starts_at!} now={now} t={t} />}
        {state === "waiting" && place && <Position place={place} t={t} />}
        {state === "admitted" && <Fact name={t.lasts}>{countdown(left_ms)}</Fact>}
      </dl>
      <p className="mt-3 empty:hidden" aria-live="polite">
        {state === "doors" ? t.doors : !place ? room.message : explanation(state, place, soldOut, t)}
      </p>
      <div className="mt-4 flex flex-wrap gap-3 empty:hidden">
        {state === "outside" && (
          <button
            className="btn btn-main min-h-11"
            disabled={room.busy || sale.status === "closed"}
            onClick={() => void room.requestTicket()}
          >
            {room.busy ? "…" : t.getTicket}
          </button>
        )}
        {(state === "waiting" || state === "admitted") && (
          <button className="btn" disabled={room.busy} onClick={() => void room.leave()}>
            {t.leave}
          </button>
        )}
      </div>
      {place && room.message && (
        <p role="alert" className="mt-3 text-bad">
          {room.message}
        </p>
      )}
      {rules.shared && state !== "doors" && <p className="mt-3 text-soft">{t.shared}</p>}
      {rules.mode === "lottery" && (
        <p className="mt-3 text-xs text-soft">
          {t.verify} <code className="break-all">{rules.commitment}</code>
        </p>
      )}
    </Panel>
  );
}

function explanation(state: State, place: Place, soldOut: boolean, t: Messages["room"]): string {
  if (state === "admitted") return t.canBuy;
  if (state === "over") return t.turnOver;
  if (soldOut || place.outlook === "sold-out") return t.soldOut;
  if (place.position === null) return t.draw;
  return place.outlook === "unlikely" ? t.unlikely : t.queue;
}

function Opens({ at, now, t }: { at: string; now: number; t: Messages["room"] }) {
  const left = countdownTo(at, now);
  return <Fact name={left ? t.opensIn : t.opensAt}>{left ?? time(at)}</Fact>;
}

function Position({ place, t }: { place: Place; t: Messages["room"] }) {
  if (place.position === null) return <Fact name={t.inDraw}>{count(place.waiting ?? 0)}</Fact>;
  const wait = place.expected_wait_seconds;
  return (
    <>
      <Fact name={t.place}>{place.about ? t.about(count(place.position)) : count(place.position)}</Fact>
      <Fact name={t.inQueue}>{count(place.waiting ?? 0)}</Fact>
      <Fact name={t.wait}>{wait === null ? t.unknown : t.about(duration(wait * 1000))}</Fact>
    </>
  );
}
