import type { Item } from "@/lib/api/client";
import { count } from "@/lib/format";
import { Pill, Text } from "../ui";

const PARTS = [
  ["available", "good"],
  ["held", "warn"],
  ["sold", "info"],
] as const;

/** An item's units: available, held and sold. */
export function StockBar({ item, live }: { item: Item; live: boolean }) {
  return (
    <div className={live ? "" : "stale"}>
      <div className="flex flex-wrap items-center gap-x-4 gap-y-1">
        <strong className="font-semibold">
          <Text>{item.name}</Text>
        </strong>
        {PARTS.map(([name, token]) => (
          <span key={name} className="flex items-center gap-1.5">
            <span aria-hidden className="size-2 rounded-[2px]" style={{ background: `var(--${token})` }} />
            <span>
              {name} {count(item[name])}
            </span>
          </span>
        ))}
        <span className="ml-auto text-soft">stock {count(item.stock)}</span>
        {!live && <Pill tone="warn">stale</Pill>}
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
