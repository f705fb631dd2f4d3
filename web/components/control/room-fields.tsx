import type { Sale } from "@/lib/api/client";
import { Check, Field, Fields, numberOf, Select, textOf } from "./field";
import { useTexts } from "./texts";

type RoomView = NonNullable<Sale["waiting_room"]>;
/** What a form says about a waiting room. */
export type RoomRules = Omit<RoomView, "commitment" | "open_to_all">;

/** What a room has unless the form says otherwise; the API's own defaults. */
const USUAL: RoomRules = {
  mode: "lottery",
  admit_per_second: 50,
  max_active: 1_000,
  session_seconds: 300,
  max_waiting: 1_000_000,
  proof_of_work: false,
  proof_tries: 256,
  proof_harder_at: null,
  shared: false,
};

/** Return the waiting room that the fields of a form describe. */
export const roomOf = (fields: FormData): RoomRules => ({
  mode: textOf(fields, "mode") === "fifo" ? "fifo" : "lottery",
  admit_per_second: numberOf(fields, "admit_per_second") ?? USUAL.admit_per_second,
  max_active: numberOf(fields, "max_active") ?? USUAL.max_active,
  session_seconds: numberOf(fields, "session_seconds") ?? USUAL.session_seconds,
  max_waiting: numberOf(fields, "max_waiting") ?? USUAL.max_waiting,
  proof_of_work: fields.has("proof_of_work"),
  proof_tries: numberOf(fields, "proof_tries") ?? USUAL.proof_tries,
  proof_harder_at: numberOf(fields, "proof_harder_at"),
  shared: fields.has("shared"),
});

/** The fields of a waiting room. `fixed`: the sale is no draft, so that the order of admission stays. */
export function RoomFields({ room = USUAL, fixed }: { room?: RoomRules; fixed?: boolean }) {
  const t = useTexts().room;
  return (
    <>
      <Fields>
        {fixed ? (
          <input type="hidden" name="mode" value={room.mode} />
        ) : (
          <Select
            label={t.mode}
            name="mode"
            defaultValue={room.mode}
            options={[
              ["lottery", t.lottery],
              ["fifo", t.fifo],
            ]}
          />
        )}
        <Field
          label={t.pace}
          name="admit_per_second"
          type="number"
          min={0.01}
          max={100_000}
          step="any"
          required
          defaultValue={room.admit_per_second}
        />
        <Field label={t.active} name="max_active" type="number" min={1} required defaultValue={room.max_active} />
        <Field
          label={t.session}
          name="session_seconds"
          type="number"
          min={1}
          max={86_000}
          required
          defaultValue={room.session_seconds}
        />
        <Field label={t.most} name="max_waiting" type="number" min={1} required defaultValue={room.max_waiting} />
        <Field
          label={t.tries}
          name="proof_tries"
          type="number"
          min={1}
          max={4_096}
          required
          defaultValue={room.proof_tries}
        />
        <Field
          label={t.harder}
          name="proof_harder_at"
          type="number"
          min={1}
          defaultValue={room.proof_harder_at ?? ""}
        />
      </Fields>
      <Check label={t.proof} name="proof_of_work" defaultChecked={room.proof_of_work} />
      {/* A room that is shared stays so. */}
      {room.shared ? <input type="hidden" name="shared" value="on" /> : <Check label={t.shared} name="shared" />}
    </>
  );
}
