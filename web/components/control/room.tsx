"use client";

import { useState } from "react";
import { DoorOpen } from "lucide-react";
import { api, bearer, exact, type Sale } from "@/lib/api/client";
import { count, rate } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { useRead } from "@/lib/use-read";
import { Copy } from "../curl";
import { Link } from "../link";
import { ActionMessage, Panel, Pill } from "../ui";
import { More } from "./more";
import { RoomFields, roomOf } from "./room-fields";
import { useTexts } from "./texts";

type RoomChange = { [Name in keyof NonNullable<Sale["waiting_room"]>]?: NonNullable<Sale["waiting_room"]>[Name] };

/** A sale's waiting room: its pace, also while it runs, and the doors that are opened for good. */
export function Room({ sale, admin, replace }: { sale: Sale; admin: string; replace: (sale: Sale) => void }) {
  const t = useTexts().room;
  const { busy, result, act } = useAction();
  const room = sale.waiting_room;
  const before = sale.status === "draft" || sale.status === "scheduled";
  const [adding, setAdding] = useState(false);
  const change = (waiting_room: RoomChange | null, text: string) =>
    void act({
      name: `room:${sale.id}`,
      content: waiting_room,
      call: ({ headers, signal }) =>
        api.PATCH("/v1/sales/{sale}", {
          params: { path: { sale: sale.id } },
          headers: { ...bearer(admin), ...headers },
          signal,
          body: { waiting_room },
        }),
      done: (now) => {
        setAdding(false);
        replace(exact<Sale>(now));
        return text;
      },
    });

  if (sale.room)
    return (
      <Panel title={t.title} aside={<Pill tone="info">{t.shared}</Pill>}>
        {t.sharesWith(
          <Link className="link" href={`/control/?id=${sale.room}`}>
            {sale.room}
          </Link>,
        )}
      </Panel>
    );
  if (!room && !before) return null;
  return (
    <Panel
      title={t.title}
      aside={
        room && (
          <Pill tone={room.open_to_all ? "warn" : "info"}>
            {room.open_to_all ? t.doorsOpen : t.admits(rate(room.admit_per_second), count(room.max_active))}
          </Pill>
        )
      }
    >
      {!room && !adding && (
        <div className="flex flex-wrap items-center gap-3">
          <p className="text-soft">{t.none}</p>
          <button type="button" className="btn" onClick={() => setAdding(true)}>
            {t.add}
          </button>
        </div>
      )}
      {(room || adding) && !room?.open_to_all && (
        <form
          key={JSON.stringify(room)}
          className="grid gap-3"
          onSubmit={(event) => {
            event.preventDefault();
            const { mode, ...rules } = roomOf(new FormData(event.currentTarget));
            change(sale.status === "draft" || !room ? { mode, ...rules } : rules, room ? t.changed : t.added);
          }}
        >
          <RoomFields {...(room && { room })} fixed={room !== null && sale.status !== "draft"} />
          <div className="flex flex-wrap gap-2">
            <button className="btn btn-main" disabled={busy}>
              {room ? t.save : t.add}
            </button>
            {room && sale.status === "draft" && (
              <button
                type="button"
                className="btn btn-bad"
                disabled={busy}
                onClick={() => {
                  if (confirm(t.sureRemove)) change(null, t.removed);
                }}
              >
                {t.remove}
              </button>
            )}
            {room && !before && sale.status !== "closed" && (
              <button
                type="button"
                className="btn btn-bad"
                disabled={busy}
                onClick={() => {
                  if (confirm(t.sureOpen)) change({ open_to_all: true }, t.opened);
                }}
              >
                <DoorOpen size={13} aria-hidden />
                {t.openDoors}
              </button>
            )}
          </div>
        </form>
      )}
      <ActionMessage result={result} />
      {room && (
        <div className="mt-3">
          <More title={t.lotteryTitle} lazily>
            <LotteryResult sale={sale.id} admin={admin} commitment={room.commitment} />
          </More>
        </div>
      )}
    </Panel>
  );
}

const EVERY_MS = 5_000;

/** Who is in the room now, and the seed of its lottery once it is drawn. */
function LotteryResult({ sale, admin, commitment }: { sale: string; admin: string; commitment: string }) {
  const t = useTexts().room;
  const read = useRead(
    `${admin} ${sale}`,
    (signal) => {
      const call = { params: { path: { sale }, query: { limit: 1 } }, headers: bearer(admin), signal };
      return api.GET("/v1/sales/{sale}/lottery", call);
    },
    EVERY_MS,
  );
  const values = [
    [t.commitment, commitment],
    [t.seed, read.data?.seed],
  ] as const;
  return (
    <>
      {read.data && (
        <p>
          {t.inside(
            count(read.data.waiting),
            count(read.data.active),
            count(read.data.admitted),
            count(read.data.tickets),
          )}
        </p>
      )}
      {values.map(
        ([name, value]) =>
          value && (
            <p key={name} className="flex flex-wrap items-center gap-2">
              <span className="text-soft">{name}</span>
              <code className="break-all">{value}</code>
              <Copy text={value} />
            </p>
          ),
      )}
      {!read.data?.seed && <p className="text-soft">{read.error || t.notDrawn}</p>}
    </>
  );
}
