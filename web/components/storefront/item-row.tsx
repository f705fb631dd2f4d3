import { Minus, Plus } from "lucide-react";
import type { Item, Pool, Sale } from "@/lib/api/client";
import { isLeft, shortPool, type Bound } from "@/lib/basket";
import { count, money } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { Pill, Text } from "../ui";

/** One item of a sale: its price, what is left of it, what it contains, and how many the buyer wants. */
export function ItemRow({
  sale,
  item,
  live,
  quantity,
  own,
  bound,
  choose,
}: {
  sale: Sale;
  item: Item;
  live: boolean;
  quantity: number;
  /** The units that this buyer holds. */
  own: number;
  bound: Bound;
  /** Change the quantity; null: nothing can be chosen now. */
  choose: ((quantity: number) => void) | null;
}) {
  const { store: t, common } = useMessages();
  const short = shortPool(sale, item);
  const parts = item.uses.map((use) => ({ ...use, name: sale.pools.find((pool) => pool.id === use.pool)?.name }));
  const isKit = parts.length > 1 || parts.some((part) => part.quantity > 1);
  return (
    <li className="grid gap-2 border-t border-line py-4 first:border-0 first:pt-0">
      <div className="flex flex-wrap items-baseline justify-between gap-x-4">
        <h2 className="min-w-0 text-base">
          <Text>{item.name}</Text>
        </h2>
        <span className="text-lg font-semibold tracking-tight">{money(item.price_minor, item.currency)}</span>
      </div>
      {isKit && (
        <p className="text-soft">
          {t.contains}{" "}
          {parts.map((part, at) => (
            <span key={part.pool}>
              {at > 0 && ", "}
              {count(part.quantity)} × <Text>{part.name ?? part.pool}</Text>
            </span>
          ))}
        </p>
      )}
      <div className="flex flex-wrap items-center justify-between gap-x-4 gap-y-2">
        <div className="min-w-40 flex-1">
          <p className={live ? "" : "stale"}>
            {item.on_sale ? <Left item={item} short={short} own={own} /> : t.notOnSale}{" "}
            {!live && <Pill tone="warn">{common.stale}</Pill>}
          </p>
          <div aria-hidden className="mt-1.5 h-1.5 overflow-hidden rounded-full bg-raised">
            <div
              className={`h-full bg-good ${live ? "" : "stale"}`}
              style={{ width: `${share(item, short) * 100}%` }}
            />
          </div>
        </div>
        {choose && <Stepper name={item.name} quantity={quantity} most={bound.most} choose={choose} />}
      </div>
    </li>
  );
}

/** Return whether a pool, rather than the item's own stock, allows no more of the item. */
function bounds(item: Item, short: Pool | null): short is Pool {
  const drawn = item.uses.find((use) => use.pool === short?.id)?.quantity ?? 1;
  return short !== null && Math.floor(short.available / drawn) === item.available;
}

/** What is left of an item: of its own stock, and of the pool that allows no more of it. */
function Left({ item, short, own }: { item: Item; short: Pool | null; own: number }) {
  const t = useMessages().store;
  const available = t.available(count(item.available), item.stock === null ? null : count(item.stock));
  const others = item.available > 0 ? 0 : (bounds(item, short) ? short.held : item.held) - own;
  const returning = others > 0 && `. ${t.mayReturn(others, count(others))}`;
  if (!bounds(item, short))
    return (
      <>
        {available}
        {returning}
      </>
    );
  return (
    <>
      {(item.stock !== null || item.available !== short.available) && `${available}, `}
      {t.leftOf(count(short.available), <Text>{short.name}</Text>)}
      {returning}
    </>
  );
}

/** A quantity with a button for one less and one for one more. */
function Stepper({
  name,
  quantity,
  most,
  choose,
}: {
  name: string;
  quantity: number;
  most: number;
  choose: (quantity: number) => void;
}) {
  const t = useMessages().store;
  return (
    <div className="flex items-center gap-1" role="group" aria-label={t.quantityOf(name)}>
      <button
        type="button"
        data-step
        className="btn min-h-11 min-w-11 !px-0"
        aria-label={t.oneLess(name)}
        disabled={quantity === 0}
        onClick={() => choose(quantity - 1)}
      >
        <Minus size={15} aria-hidden />
      </button>
      <input
        className="field quantity min-h-11 !w-12 text-center"
        type="number"
        inputMode="numeric"
        min={0}
        max={Math.max(most, quantity)}
        aria-label={t.quantityOf(name)}
        value={quantity}
        onFocus={(event) => event.target.select()}
        onChange={(event) => choose(Math.max(0, Math.min(MOST_UNITS, Math.trunc(Number(event.target.value)))))}
      />
      <button
        type="button"
        data-step
        className="btn min-h-11 min-w-11 !px-0"
        aria-label={t.oneMore(name)}
        disabled={quantity >= most}
        onClick={() => choose(quantity + 1)}
      >
        <Plus size={15} aria-hidden />
      </button>
    </div>
  );
}

/** The most units of a line that the API takes. */
const MOST_UNITS = 1_000_000;

/** Return which share of an item is available: of the pool that allows no more of it, or of its own stock. */
function share(item: Item, short: Pool | null): number {
  const { available, stock } = bounds(item, short) ? short : item;
  return stock && isLeft(item) ? available / stock : 0;
}
