import type { Webhook } from "@/lib/api/client";
import { Check } from "../field";
import { useTexts } from "../texts";

type EventType = Webhook["events"][number];

/** Every type of event, as the API lists them. A type that the API lacks does not compile. */
export const EVENT_TYPES: readonly EventType[] = [
  "reservation.held",
  "reservation.amended",
  "reservation.released",
  "reservation.expired",
  "order.confirmed",
  "order.amended",
  "order.cancelled",
  "sale.opened",
  "sale.sold_out",
  "sale.closed",
  "ledger.refused",
  "payment.refunded",
  "payment.refund_failed",
];

/** Return the ticked types of a form; null: all. */
export function eventsOf(fields: FormData): EventType[] | null {
  const ticked = EVENT_TYPES.filter((type) => fields.has(type));
  return ticked.length === EVENT_TYPES.length ? null : ticked;
}

/** A box for each type of event. */
export function EventFields({ ticked }: { ticked: readonly EventType[] }) {
  const t = useTexts().webhooks;
  return (
    <fieldset>
      <legend className="mb-1 font-medium">{t.events}</legend>
      <div className="grid grid-cols-[minmax(0,1fr)] gap-x-4 sm:grid-cols-2 lg:grid-cols-4">
        {EVENT_TYPES.map((type) => (
          <Check key={type} name={type} defaultChecked={ticked.includes(type)} label={<code>{type}</code>} />
        ))}
      </div>
    </fieldset>
  );
}
