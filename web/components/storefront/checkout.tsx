import type { Problem, Reservation, Sale } from "@/lib/api/client";
import { basketOf, isLeft, shortageOf, totalsOf, unitsOf, type Basket, type Bound } from "@/lib/basket";
import { count, countdown, money } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { costOf, orderAddress } from "@/lib/payment";
import type { Connection } from "@/lib/use-events";
import { useProviders } from "@/lib/use-payment";
import type { Purchase } from "@/lib/use-purchase";
import type { Messages } from "@/messages/en";
import { Link } from "../link";
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
  const { basket: t, common } = useMessages();
  const working = common.working;
  const { basket, reservation, status, changed, busy } = purchase;
  const held = status === "held";
  const label = buyLabel(sale, basket, connection, admitted);
  const short =
    (!reservation && label === "tooMany") || (held && changed) ? shortageOf(sale, basket, purchase.own) : null;
  const left_ms = reservation?.expires_at ? Date.parse(reservation.expires_at) - now : 0;
  return (
    <section className="panel checkout grid gap-3" aria-label={t.title}>
      {reservation && !changed && <Lines sale={sale} reservation={reservation} />}
      {(!reservation || changed || reservation.items.length > 1) && (
        <p className="flex flex-wrap items-baseline justify-between gap-x-4">
          <span className="text-soft">{t.units(unitsOf(basket), count(unitsOf(basket)))}</span>
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
          <button
            className="btn btn-main min-h-11 w-full text-base"
            disabled={busy || label !== "buy"}
            onClick={purchase.buy}
          >
            {busy ? working : t[label]}
          </button>
        )}
        {!reservation && label === "soldOut" && (
          <button className="link" onClick={purchase.find}>
            {t.find}
          </button>
        )}
        {held && <Pill tone="info">{t.held(countdown(left_ms))}</Pill>}
        {held && !changed && <Settle sale={sale} purchase={purchase} reservation={reservation!} />}
        {held && changed && (
          <>
            <button
              className="btn btn-main"
              disabled={busy || basket.size === 0 || short !== null}
              onClick={purchase.change}
            >
              {t.change}
            </button>
            <button className="btn" disabled={busy} onClick={purchase.undo}>
              {t.undo}
            </button>
          </>
        )}
        {held && (
          <>
            <button className="btn" disabled={busy} onClick={purchase.extend}>
              {t.extend}
            </button>
            <button className="btn" disabled={busy} onClick={purchase.release}>
              {t.release}
            </button>
          </>
        )}
        {status === "confirmed" && (
          <>
            <Pill tone="good">{t.yours}</Pill>
            <span>
              {t.order(
                <Link className="link" href={orderAddress(reservation?.id ?? "", undefined, "")}>
                  <code className="break-all">{reservation?.id}</code>
                </Link>,
              )}
            </span>
          </>
        )}
        {status === "expired" && (
          <>
            <Pill tone="warn">{t.expired}</Pill>
            <Link className="link" href={orderAddress(reservation?.id ?? "", undefined, "")}>
              {t.became}
            </Link>
          </>
        )}
        {status === "cancelled" && (
          <>
            <Pill tone="bad">{t.cancelled}</Pill>
            <span>{t.cancelledBy(<code className="break-all">{reservation?.id}</code>)}</span>
          </>
        )}
        {status === "released" && <Pill tone="soft">{t.released}</Pill>}
        {status && !held && (
          <button className="btn" disabled={busy} onClick={purchase.reset}>
            {t.again}
          </button>
        )}
      </div>
      <p className="empty:hidden" aria-live="polite">
        {typeof purchase.message === "string" ? purchase.message : <Refusal sale={sale} problem={purchase.message} />}
      </p>
    </section>
  );
}

/** How a hold becomes an order: by a payment where there are providers and it costs something, else by a press. */
function Settle({
  sale,
  purchase: { busy, confirm, pay },
  reservation,
}: {
  sale: Sale;
  purchase: Purchase;
  reservation: Reservation;
}) {
  const { basket: t, common } = useMessages();
  const cost = costOf(sale, reservation);
  const providers = useProviders(cost !== "free");
  if (cost !== "free" && !providers)
    return (
      <button className="btn btn-main" disabled>
        {common.loading}
      </button>
    );
  if (cost === "free" || !providers?.length)
    return (
      <button className="btn btn-main" disabled={busy} onClick={confirm}>
        {t.confirm}
      </button>
    );
  return cost === "several" ? (
    <p className="text-warn">{t.severalCurrencies}</p>
  ) : (
    <PayButtons providers={providers} busy={busy} pay={pay} />
  );
}

/** One button, or one for each provider. */
export function PayButtons({
  providers,
  busy,
  pay,
}: {
  providers: string[];
  busy: boolean;
  pay: (provider: string) => void;
}) {
  const t = useMessages().basket;
  return providers.map((name) => (
    <button key={name} className="btn btn-main" disabled={busy} onClick={() => pay(name)}>
      {providers.length === 1 ? t.pay : t.payWith(name === "stripe" ? "Stripe" : name)}
    </button>
  ));
}

type Label = Extract<
  keyof Messages["basket"],
  | "buy"
  | "soldOut"
  | "tooMany"
  | "reconnecting"
  | "connecting"
  | "paused"
  | "closed"
  | "notOpen"
  | "waitForTurn"
  | "chooseSome"
>;

/** Return what the button says: "Buy", or why the buyer cannot buy now. */
function buyLabel(sale: Sale, basket: Basket, connection: Connection, admitted: boolean): Label {
  if (connection === "lost") return "reconnecting";
  if (connection !== "live") return "connecting";
  if (sale.status === "paused") return "paused";
  if (sale.status === "closed") return "closed";
  if (sale.status !== "open") return "notOpen";
  if (!sale.items.some(isLeft)) return "soldOut";
  if (!admitted) return "waitForTurn";
  if (basket.size === 0) return "chooseSome";
  return shortageOf(sale, basket) ? "tooMany" : "buy";
}

/** What a reservation has, and what of it the shop cancelled. */
export function Lines({
  sale,
  reservation: { items, status, cancelled_items },
}: {
  sale: Sale;
  reservation: Reservation;
}) {
  const t = useMessages().basket;
  return (
    <ul aria-label={t.yourItems} className="grid gap-1">
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
            {t.cancelled}
          </li>
        ))}
    </ul>
  );
}

/** Return what a basket costs: one amount per currency. */
export const price = (sale: Sale, basket: Basket, lines?: Reservation["items"]): string =>
  totalsOf(sale, basket, lines)
    .map(([currency, minor]) => money(minor, currency))
    .join(" + ");

const Name = ({ sale, sku }: { sale: Sale; sku: string }) => (
  <Text>{sale.items.find((item) => item.sku === sku)?.name ?? sku}</Text>
);

/** Why the basket cannot have as many units of an item. */
function Shortage({ name, bound: { most, by } }: { name: string; bound: Bound }) {
  const { basket: t, store } = useMessages();
  const item = <Text>{name}</Text>;
  if (by === "off") return t.offNow(item);
  if (by === "limit") return t.limitAllows(count(most), item);
  return t.onlyLeft(count(most), item, typeof by === "object" && store.leftOf(count(by.available), by.name));
}

/** Why FlashGuard refused: the problem's own sentence, or which item and which pool is short. */
function Refusal({ sale, problem: { code, detail, sku, available, pool } }: { sale: Sale; problem: Problem }) {
  const t = useMessages().basket;
  if (code === "provider-away") return t.providerAway;
  if (code !== "sold-out") return detail;
  if (!sku || (!available && !pool && sale.items.length === 1)) return t.faster;
  return t.fasterOf(
    !!available,
    <Name sale={sale} sku={sku} />,
    count(available ?? 0),
    pool && <Text>{sale.pools.find((each) => each.id === pool)?.name ?? pool}</Text>,
  );
}
