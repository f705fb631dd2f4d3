import { useEffect, useRef } from "react";
import type { Sale } from "@/lib/api/client";
import { boundOf, isLeft, linesOf } from "@/lib/basket";
import { count, countdown, countdownTo, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import type { Connection } from "@/lib/use-events";
import { usePurchase } from "@/lib/use-purchase";
import { admissionOf, type Room } from "@/lib/use-room";
import { stateOf, useWaitingList } from "@/lib/use-waiting-list";
import { Curl } from "../curl";
import { Checkout } from "./checkout";
import { ItemRow } from "./item-row";
import { WaitingList } from "./waiting-list";

/** The items of a sale, and the buyer's basket. */
export function Shop({ sale, connection, room, now }: { sale: Sale; connection: Connection; room: Room; now: number }) {
  const t = useMessages().store;
  const admission = admissionOf(room.place, now);
  const purchase = usePurchase(sale, admission, now, room.forgetTicket);
  const list = useWaitingList(sale, admission);
  const choosing = sale.status !== "closed" && (!purchase.reservation || purchase.status === "held");
  const items = linesOf(sale, purchase.basket);
  const offered = list.entry && stateOf(list.entry, now) === "offered" ? list.entry.reservation : null;
  const { adopt, reservation } = purchase;
  const adopted = useRef("");
  const told = list.entry?.reservation;
  useEffect(() => {
    if (offered && adopted.current !== offered.id) {
      adopted.current = offered.id;
      adopt(offered);
    } else if (told && told.id === reservation?.id && told.status !== "held" && reservation.status === "held") {
      adopt(told); // declined in the list
    }
  }, [offered, told, reservation, adopt]);
  return (
    <>
      <section className="panel" aria-label={t.items}>
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
                own={purchase.own.get(item.sku) ?? 0}
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
      {(purchase.status !== "held" || offered) && <WaitingList sale={sale} list={list} now={now} />}
      <Checkout
        sale={sale}
        purchase={purchase}
        connection={connection}
        admitted={admission !== null || !sale.waiting_room || sale.waiting_room.open_to_all}
        now={now}
      />
    </>
  );
}

function Terms({ sale, now }: { sale: Sale; now: number }) {
  const t = useMessages().store;
  const opens_ms = sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const opensIn = sale.starts_at && countdownTo(sale.starts_at, now);
  const ends_ms = sale.ends_at ? Date.parse(sale.ends_at) - now : 0;
  return (
    <dl className="flex flex-wrap gap-x-8 gap-y-1 border-t border-line pt-3 text-soft">
      {sale.status !== "open" && opens_ms > 0 && (
        <Term name={opensIn ? t.opensIn : t.opensAt}>
          {opensIn} {opensIn ? <span className="text-soft">({time(sale.starts_at!)})</span> : time(sale.starts_at!)}
        </Term>
      )}
      {sale.status === "open" && ends_ms > 0 && <Term name={t.endsIn}>{countdown(ends_ms)}</Term>}
      <Term name={t.holdLasts}>{countdown(sale.hold_seconds * 1000)}</Term>
      {sale.limit_per_customer && <Term name={t.atMost}>{t.perCustomer(count(sale.limit_per_customer))}</Term>}
      {sale.max_held_per_customer && (
        <Term name={t.heldAtOnce}>{t.atMostUnits(count(sale.max_held_per_customer))}</Term>
      )}
    </dl>
  );
}

const Term = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div className="flex gap-1.5">
    <dt>{name}</dt>
    <dd className="font-medium text-ink">{children}</dd>
  </div>
);
