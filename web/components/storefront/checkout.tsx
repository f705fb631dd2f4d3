import type { Problem, Reservation, Sale } from "@/lib/api/client";
import { basketOf, isLeft, shortageOf, totalsOf, unitsOf, type Basket, type Bound } from "@/lib/basket";
import { count, countdown, money } from "@/lib/format";
import type { Connection } from "@/lib/use-events";
import type { Purchase } from "@/lib/use-purchase";
import { Pill, Text } from "../ui";

/** The basket, and what the buyer can do with it now: buy it, change, confirm or release its hold, start again. */
export function Checkout({
  sale,
  purchase,
  connection,
  admitted,
  now,
}: {
  sale: Sale;
  purchase: Purchase;
  connection: Connection;
  admitted: boolean;
  now: number;
}) {
  const { basket, reservation, status, changed, busy } = purchase;
  const held = status === "held";
  const label = busy ? "Working…" : buyLabel(sale, basket, connection, admitted);
  const short =
    (!reservation && label === TOO_MANY) || (held && changed) ? shortageOf(sale, basket, purchase.own) : null;
  const left_ms = reservation?.expires_at ? Date.parse(reservation.expires_at) - now : 0;
  return (
    <section className="panel checkout grid gap-3" aria-label="Basket">
      {reservation && !changed && <Lines sale={sale} reservation={reservation} />}
      {(!reservation || changed || reservation.items.length > 1) && (
        <p className="flex flex-wrap items-baseline justify-between gap-x-4">
          <span className="text-soft">
            {count(unitsOf(basket))} {unitsOf(basket) === 1 ? "unit" : "units"}
          </span>
          <span className="text-lg font-semibold tracking-tight">{price(sale, basket, reservation?.items)}</span>
        </p>
      )}
      {short && (
        <p className="text-warn" role="status">
          <Shortage name={short.item.name} bound={short.bound} />
        </p>
      )}
      <div className="flex flex-wrap items-center gap-3">
        {!reservation && (
          <button className="btn btn-main min-h-11 w-full text-base" disabled={label !== BUY} onClick={purchase.buy}>
            {label}
          </button>
        )}
        {!reservation && label === SOLD_OUT && (
          <button className="link" onClick={purchase.find}>
            Do you hold one? Find it
          </button>
        )}
        {held && <Pill tone="info">held for you: {countdown(left_ms)}</Pill>}
        {held && !changed && (
          <button className="btn btn-main" disabled={busy} onClick={purchase.confirm}>
            Confirm
          </button>
        )}
        {held && changed && (
          <>
            <button
              className="btn btn-main"
              disabled={busy || basket.size === 0 || short !== null}
              onClick={purchase.change}
            >
              Change the hold
            </button>
            <button className="btn" disabled={busy} onClick={purchase.undo}>
              Undo
            </button>
          </>
        )}
        {held && (
          <button className="btn" disabled={busy} onClick={purchase.release}>
            Release
          </button>
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
        {status && !held && (
          <button className="btn" disabled={busy} onClick={purchase.reset}>
            Start again
          </button>
        )}
      </div>
      <p className="empty:hidden" aria-live="polite">
        {typeof purchase.message === "string" ? purchase.message : <Refusal sale={sale} problem={purchase.message} />}
      </p>
    </section>
  );
}

const BUY = "Buy";
const SOLD_OUT = "Sold out";
const TOO_MANY = "Not enough left";

/** Return what the button says: "Buy", or why the buyer cannot buy now. */
function buyLabel(sale: Sale, basket: Basket, connection: Connection, admitted: boolean): string {
  if (connection === "lost") return "Reconnecting…";
  if (connection !== "live") return "Connecting…";
  if (sale.status === "paused") return "Paused";
  if (sale.status === "closed") return "Closed";
  if (sale.status !== "open") return "Not open yet";
  if (!sale.items.some(isLeft)) return SOLD_OUT;
  if (sale.waiting_room && !admitted) return "Wait for your turn";
  if (basket.size === 0) return "Choose what to buy";
  return shortageOf(sale, basket) ? TOO_MANY : BUY;
}

/** What a reservation has, and what of it the shop cancelled. */
function Lines({ sale, reservation: { items, status, cancelled_items } }: { sale: Sale; reservation: Reservation }) {
  return (
    <ul aria-label="Your items" className="grid gap-1">
      {items.map((line) => (
        <li key={line.sku} className="flex flex-wrap justify-between gap-x-4">
          <span>
            {count(line.quantity)} × <Name sale={sale} sku={line.sku} />
          </span>
          <span>{price(sale, basketOf([line]), [line])}</span>
        </li>
      ))}
      {status === "confirmed" &&
        cancelled_items?.map(({ sku, quantity }) => (
          <li key={`cancelled ${sku}`} className="text-soft">
            <s>
              {count(quantity)} × <Name sale={sale} sku={sku} />
            </s>{" "}
            cancelled
          </li>
        ))}
    </ul>
  );
}

/** Return what a basket costs: one amount per currency. */
const price = (sale: Sale, basket: Basket, lines?: Reservation["items"]): string =>
  totalsOf(sale, basket, lines)
    .map(([currency, minor]) => money(minor, currency))
    .join(" + ");

const Name = ({ sale, sku }: { sale: Sale; sku: string }) => (
  <Text>{sale.items.find((item) => item.sku === sku)?.name ?? sku}</Text>
);

/** Why the basket cannot have as many units of an item. */
function Shortage({ name, bound: { most, by } }: { name: string; bound: Bound }) {
  if (by === "off")
    return (
      <>
        <Text>{name}</Text> is not on sale now.
      </>
    );
  return (
    <>
      {by === "limit" ? "Your limit allows " : "There are only "}
      {count(most)} × <Text>{name}</Text>
      {by !== "limit" && " for this basket"}
      {typeof by === "object" && (
        <>
          : {count(by.available)} left of <Text>{by.name}</Text>
        </>
      )}
      .
    </>
  );
}

/** Why FlashGuard refused: the problem's own sentence, or which item and which pool is short. */
function Refusal({ sale, problem: { code, detail, sku, available, pool } }: { sale: Sale; problem: Problem }) {
  if (code !== "sold-out") return detail;
  if (!sku || (!available && !pool && sale.items.length === 1))
    return "Sold out: another buyer was faster. You were not charged.";
  return (
    <>
      {available ? "Not enough left" : "Sold out"}: another buyer was faster. Of <Name sale={sale} sku={sku} />,{" "}
      {count(available ?? 0)} can be had
      {pool && (
        <>
          ; <Text>{sale.pools.find((each) => each.id === pool)?.name ?? pool}</Text> is short
        </>
      )}
      . You were not charged.
    </>
  );
}
