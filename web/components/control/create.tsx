"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { api, bearer } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel } from "../ui";
import { Check, Field, Fields, numberOf, Select, textOf } from "./field";
import {
  ItemFields,
  itemsOf,
  NEW_ITEM,
  PlaceFields,
  PoolFields,
  type ItemRow,
  type PlaceRow,
  type PoolRow,
} from "./item-fields";
import { More } from "./more";
import { RoomFields, roomOf } from "./room-fields";
import { FirstRules, LimitFields, limitsOf, MoreRules, rulesOf, type LimitRow } from "./rule-fields";
import { useTexts } from "./texts";

const FIRST: ItemRow[] = [{ ...NEW_ITEM, key: 0, sku: "unit", name: "Sneaker" }];

/** The form that creates a sale as a draft, with all that a sale can have. */
export function Create({ admin, done }: { admin: string; done: () => void }) {
  const t = useTexts().create;
  const router = useRouter();
  const { busy, result, act } = useAction();
  const [items, setItems] = useState(FIRST);
  const [pools, setPools] = useState<PoolRow[]>([]);
  const [places, setPlaces] = useState<PlaceRow[]>([]);
  const [limits, setLimits] = useState<LimitRow[]>([]);
  const [room, setRoom] = useState<"none" | "own" | "shared">("none");

  function create(form: HTMLFormElement) {
    const fields = new FormData(form);
    const id = textOf(fields, "id");
    const body = {
      ...(id && { id }),
      name: textOf(fields, "name"),
      ...rulesOf(fields),
      items: itemsOf(fields, items, pools, places),
      ...(pools.length > 0 && { pools: pools.map(({ id, name, stock }) => ({ id, name, stock })) }),
      ...(places.length > 0 && { locations: places.map(({ id, name }) => ({ id, name })), split: fields.has("split") }),
      ...(limits.length > 0 && { limits: limitsOf(fields, limits) }),
      ...(room === "own" && { waiting_room: roomOf(fields) }),
      ...(room === "shared" && { room: textOf(fields, "room") }),
      spread: numberOf(fields, "spread") ?? 1,
    };
    void act({
      name: "create-sale",
      content: body,
      call: ({ headers, signal }) => api.POST("/v1/sales", { headers: { ...bearer(admin), ...headers }, signal, body }),
      done: (sale) => {
        form.reset();
        setItems(FIRST);
        setPools([]);
        setPlaces([]);
        setLimits([]);
        setRoom("none");
        done();
        void router.push(`/control/?id=${sale.id}`);
        return t.created(sale.id);
      },
    });
  }

  return (
    <Panel title={t.title}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          create(event.currentTarget);
        }}
        className="grid gap-3"
      >
        <Fields>
          <Field label={t.sale} name="name" defaultValue="Drop" required maxLength={128} />
          <FirstRules />
        </Fields>
        <ItemFields rows={items} pools={pools} places={places} busy={busy} change={setItems} />
        <PoolFields rows={pools} busy={busy} change={setPools} />
        <More title={t.rules}>
          <MoreRules />
          <LimitFields rows={limits} change={setLimits} />
        </More>
        <More title={t.places}>
          <PlaceFields rows={places} busy={busy} change={setPlaces} />
          {places.length > 1 && <Check label={t.split} name="split" />}
        </More>
        <More title={t.room}>
          <Fields>
            <Select
              label={t.room}
              value={room}
              onChange={(event) => setRoom(event.target.value as typeof room)}
              options={(["none", "own", "shared"] as const).map((name) => [name, t.rooms[name]] as const)}
            />
            {room === "shared" && <Field label={t.host} name="room" required placeholder="concert" hint={t.hostHint} />}
          </Fields>
          {room === "own" && <RoomFields />}
        </More>
        <More title={t.fixed}>
          <Fields>
            <Field
              label={t.id}
              name="id"
              pattern="[a-z0-9][a-z0-9\-]{0,63}"
              placeholder="spring-drop"
              hint={t.idHint}
            />
            <Field
              label={t.spread}
              name="spread"
              type="number"
              min={1}
              max={256}
              defaultValue={1}
              hint={t.spreadHint}
            />
          </Fields>
        </More>
        <div>
          <button className="btn btn-main" disabled={busy}>
            {t.createIt}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
