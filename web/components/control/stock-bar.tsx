import type { Item, Pool } from "@/lib/api/client";
import { count } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { Pill, Text } from "../ui";
import { useTexts } from "./texts";

const PARTS = [
  ["available", "good"],
  ["held", "warn"],
  ["sold", "info"],
] as const;

/** The units of an item, of a pool or of a location: available, held and sold. `kind`: what it is, if not an item. */
export function StockBar({ item, kind, live }: { item: Item | Pool; kind?: "pool" | "location"; live: boolean }) {
  const { common } = useMessages();
  const t = useTexts().stock;
  return (
    <div className={`min-w-0 ${live ? "" : "stale"}`}>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <strong className="font-semibold">
          <Text>{item.name}</Text>
        </strong>
        {PARTS.map(([name, token]) => (
          <span key={name} className="flex items-center gap-1.5">
            <span aria-hidden className="size-2 rounded-[2px]" style={{ background: `var(--${token})` }} />
            <span>
              {t[name]} {count(item[name])}
            </span>
          </span>
        ))}
        {"sku" in item && item.uses.length > 0 && (
          <span className="text-soft">
            {t.uses} <Text>{item.uses.map((use) => `${count(use.quantity)} × ${use.pool}`).join(", ")}</Text>
          </span>
        )}
        {"sku" in item && !item.on_sale && <Pill tone="warn">{t.offSale}</Pill>}
        <span className="ml-auto text-soft">
          {kind && `${t[kind]}, `}
          {item.stock === null ? t.noStock : t.stock(count(item.stock))}
        </span>
        {!live && <Pill tone="warn">{common.stale}</Pill>}
      </div>
      <div aria-hidden className="mt-2 flex h-2.5 gap-px overflow-hidden rounded-sm bg-raised">
        {PARTS.map(
          ([name, token]) =>
            item[name] > 0 && <span key={name} style={{ flexGrow: item[name], background: `var(--${token})` }} />,
        )}
      </div>
    </div>
  );
}
