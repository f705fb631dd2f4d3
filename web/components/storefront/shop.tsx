import type { Sale } from "@/lib/api/client";
import { boundOf, isLeft, linesOf } from "@/lib/basket";
import { count, countdown, time } from "@/lib/format";
import type { Connection } from "@/lib/use-events";
import { usePurchase } from "@/lib/use-purchase";
import { admissionOf, type Room } from "@/lib/use-room";
import { Curl } from "../curl";
import { Checkout } from "./checkout";
import { ItemRow } from "./item-row";

/** The items of a sale, and the buyer's basket. */
export function Shop({ sale, connection, room, now }: { sale: Sale; connection: Connection; room: Room; now: number }) {
  const admission = admissionOf(room.place, now);
  const purchase = usePurchase(sale, admission, now, room.forgetTicket);
  const choosing = sale.status !== "closed" && (!purchase.reservation || purchase.status === "held");
  const items = linesOf(sale, purchase.basket);
  return (
    <>
      <section className="panel" aria-label="Items">
        <ul>
          {sale.items.map((item) => {
            const quantity = purchase.basket.get(item.sku) ?? 0;
            const canChoose = choosing && (quantity > 0 || isLeft(item));
            return (
              <ItemRow
                key={item.sku}
                sale={sale}
                item={item}
                live={connection === "live"}
                quantity={quantity}
                bound={boundOf(sale, item, purchase.basket, purchase.own)}
                choose={canChoose ? (units) => purchase.choose(item.sku, units) : null}
              />
            );
          })}
        </ul>
        <Terms sale={sale} now={now} />
        <Curl
          method="POST"
          path={`/v1/sales/${sale.id}/reservations`}
          body={{ customer: "me", items: items.length ? items : [{ sku: sale.items[0]?.sku, quantity: 1 }] }}
        />
      </section>
      <Checkout sale={sale} purchase={purchase} connection={connection} admitted={admission !== null} now={now} />
    </>
  );
}

function Terms({ sale, now }: { sale: Sale; now: number }) {
  const opens_ms = sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const ends_ms = sale.ends_at ? Date.parse(sale.ends_at) - now : 0;
  return (
    <dl className="flex flex-wrap gap-x-8 gap-y-1 border-t border-line pt-3 text-soft">
      {sale.status !== "open" && opens_ms > 0 && (
        <Term name="Opens in">
          {countdown(opens_ms)} <span className="text-soft">({time(sale.starts_at!)})</span>
        </Term>
      )}
      {sale.status === "open" && ends_ms > 0 && <Term name="Ends in">{countdown(ends_ms)}</Term>}
      <Term name="A hold lasts">{countdown(sale.hold_seconds * 1000)}</Term>
      {sale.limit_per_customer && <Term name="At most">{count(sale.limit_per_customer)} per customer</Term>}
      {sale.max_held_per_customer && <Term name="Held at once">at most {count(sale.max_held_per_customer)}</Term>}
    </dl>
  );
}

const Term = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div className="flex gap-1.5">
    <dt>{name}</dt>
    <dd className="font-medium text-ink">{children}</dd>
  </div>
);
