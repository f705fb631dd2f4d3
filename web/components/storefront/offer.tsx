import type { Item, Sale } from "@/lib/api/client";
import { count, countdown, money, time } from "@/lib/format";
import type { Connection } from "@/lib/use-events";
import { useNow } from "@/lib/use-now";
import { usePurchase } from "@/lib/use-purchase";
import { admissionOf, type Room } from "@/lib/use-room";
import { Curl } from "../curl";
import { Panel, Pill, Text } from "../ui";

/** One item of a sale: its price, its stock, and what the buyer can do with it now. */
export function Offer({
  sale,
  item,
  connection,
  room,
}: {
  sale: Sale;
  item: Item;
  connection: Connection;
  room: Room;
}) {
  const now = useNow();
  const admission = admissionOf(room.place, now);
  const purchase = usePurchase(sale, item, admission, room.forgetTicket);
  const { reservation, busy } = purchase;
  const live = connection === "live";
  const left_ms = reservation?.expires_at ? Date.parse(reservation.expires_at) - now : 0;
  const opens_ms = sale.starts_at ? Date.parse(sale.starts_at) - now : 0;
  const ends_ms = sale.ends_at ? Date.parse(sale.ends_at) - now : 0;
  const status = reservation?.status === "held" && left_ms <= 0 ? "expired" : reservation?.status;
  const label = busy ? "Working…" : buyLabel(sale, item, connection, admission !== null);
  return (
    <Panel
      title={<Text>{item.name}</Text>}
      aside={<span className="text-xl font-semibold tracking-tight">{money(item.price_minor, item.currency)}</span>}
    >
      <p className={live ? "" : "stale"}>
        {count(item.available)} of {count(item.stock)} available {!live && <Pill tone="warn">stale</Pill>}
      </p>
      <div aria-hidden className="mt-2 h-1.5 overflow-hidden rounded-full bg-raised">
        <div
          className={`h-full bg-good ${live ? "" : "stale"}`}
          style={{ width: `${item.stock ? (item.available / item.stock) * 100 : 0}%` }}
        />
      </div>
      <dl className="mt-3 flex flex-wrap gap-x-8 gap-y-1 text-soft">
        {sale.status !== "open" && opens_ms > 0 && (
          <Term name="Opens in">
            {countdown(opens_ms)} <span className="text-soft">({time(sale.starts_at!)})</span>
          </Term>
        )}
        {sale.status === "open" && ends_ms > 0 && <Term name="Ends in">{countdown(ends_ms)}</Term>}
        <Term name="A hold lasts">{countdown(sale.hold_seconds * 1000)}</Term>
        {sale.limit_per_customer && <Term name="At most">{count(sale.limit_per_customer)} per customer</Term>}
      </dl>
      <div className="mt-4 flex flex-wrap items-center gap-3 border-t border-line pt-4">
        {!reservation && (
          <button className="btn btn-main min-h-11 w-full text-base" disabled={label !== "Buy"} onClick={purchase.buy}>
            {label}
          </button>
        )}
        {status === "held" && (
          <>
            <Pill tone="info">held for you: {countdown(left_ms)}</Pill>
            <button className="btn btn-main" disabled={busy} onClick={purchase.confirm}>
              Confirm
            </button>
            <button className="btn" disabled={busy} onClick={purchase.release}>
              Release
            </button>
          </>
        )}
        {status === "confirmed" && (
          <>
            <Pill tone="good">yours</Pill>
            <span>
              Order <code className="break-all">{reservation?.id}</code>
            </span>
          </>
        )}
        {status === "expired" && <Pill tone="warn">your hold expired</Pill>}
        {status === "cancelled" && (
          <>
            <Pill tone="bad">cancelled</Pill>
            <span>
              The shop cancelled order <code className="break-all">{reservation?.id}</code>.
            </span>
          </>
        )}
        {status === "released" && <Pill tone="soft">released</Pill>}
        {status && status !== "held" && (
          <button className="btn" disabled={busy} onClick={purchase.reset}>
            Start again
          </button>
        )}
      </div>
      <p className="mt-3 empty:hidden" aria-live="polite">
        {purchase.message}
      </p>
      <Curl
        method="POST"
        path={`/v1/sales/${sale.id}/reservations`}
        body={{ customer: "me", items: [{ sku: item.sku, quantity: 1 }] }}
      />
    </Panel>
  );
}

/** Return what the button says: "Buy", or why the buyer cannot buy now. */
function buyLabel(sale: Sale, item: Item, connection: Connection, admitted: boolean): string {
  if (connection === "lost") return "Reconnecting…";
  if (connection !== "live") return "Connecting…";
  if (sale.status === "paused") return "Paused";
  if (sale.status === "closed") return "Closed";
  if (sale.status !== "open") return "Not open yet";
  if (item.available < 1) return "Sold out";
  return sale.waiting_room && !admitted ? "Wait for your turn" : "Buy";
}

const Term = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <div className="flex gap-1.5">
    <dt>{name}</dt>
    <dd className="font-medium text-ink">{children}</dd>
  </div>
);
