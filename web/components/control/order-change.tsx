import { useState } from "react";
import { api, bearer, type Item, type Reservation } from "@/lib/api/client";
import { basketOf, withQuantity } from "@/lib/basket";
import { count } from "@/lib/format";
import { changeOf, holdChangeOf } from "@/lib/order-change";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Text } from "../ui";
import { useTexts } from "./texts";

/** The form in which a hold or an order gets other units, and an order is cancelled in whole or in part. */
export function ChangeOrder({
  order,
  items,
  admin,
  done,
}: {
  order: Reservation;
  items: Item[];
  admin: string;
  done: () => void;
}) {
  const t = useTexts().orders;
  const { busy, result, act } = useAction();
  const held = order.status === "held";
  const [wanted, setWanted] = useState(() => basketOf(order.items));
  const [restock, setRestock] = useState(true);
  const [reason, setReason] = useState("refund");
  const change = held ? holdChangeOf(order.items, wanted) : changeOf(order.items, wanted);
  const shown = [...new Set([...order.items.map((line) => line.sku), ...wanted.keys()])];
  const others = items.filter((item) => !shown.includes(item.sku));
  const nameOf = (sku: string) => items.find((item) => item.sku === sku)?.name ?? sku;

  function send() {
    if (!change) return;
    if (change.kind === "cancel" && change.items === "all" && !confirm(t.sureCancel(order.id))) return;
    const params = { path: { id: order.id } };
    void act<Reservation>({
      name: `change-order:${order.id}`,
      content: { change, restock, reason },
      call: ({ headers, signal }) => {
        const call = { params, headers: { ...bearer(admin), ...headers }, signal };
        return change.kind === "amend"
          ? api.POST("/v1/reservations/{id}/amend", { ...call, body: { items: change.items, restock, reason } })
          : api.POST("/v1/orders/{id}/cancel", {
              ...call,
              body: { restock, reason, ...(change.items !== "all" && { items: change.items }) },
            });
      },
      done: (now) => {
        setWanted(basketOf(now.items));
        done();
        return held ? t.holdChanged : now.status === "cancelled" ? t.isCancelled : t.isChanged;
      },
    });
  }

  return (
    <form
      aria-label={t.changeOrder(order.id)}
      className="sticky left-0 grid w-[min(100%,calc(100vw-4.25rem))] gap-3 py-2 text-ink"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      <div className="flex flex-wrap items-end gap-3">
        {shown.map((sku) => (
          <label key={sku} className="label text-xs">
            <Text>{nameOf(sku)}</Text>
            <input
              className="field !w-24"
              type="number"
              min={0}
              required
              value={wanted.get(sku) ?? 0}
              onChange={(event) => setWanted(withQuantity(wanted, sku, Math.trunc(Number(event.target.value))))}
            />
          </label>
        ))}
        {others.length > 0 && (
          <label className="label text-xs">
            {t.another}
            <select
              className="field"
              value=""
              onChange={(event) => setWanted(withQuantity(wanted, event.target.value, 1))}
            >
              <option value="">{t.add}</option>
              {others.map((item) => (
                <option key={item.sku} value={item.sku}>
                  {item.name}
                </option>
              ))}
            </select>
          </label>
        )}
        {!held && (
          <>
            <label className="label text-xs">
              {t.reason}
              <input
                className="field !w-40"
                value={reason}
                required
                maxLength={128}
                onChange={(event) => setReason(event.target.value)}
              />
            </label>
            <label className="flex min-h-9 items-center gap-2">
              <input type="checkbox" checked={restock} onChange={(event) => setRestock(event.target.checked)} />
              {t.restock}
            </label>
          </>
        )}
        <button className={`btn ${change?.kind === "cancel" ? "btn-bad" : "btn-main"}`} disabled={busy || !change}>
          {!change
            ? t.noChange
            : change.kind === "amend"
              ? held
                ? t.changeHold
                : t.changeIt
              : change.items === "all"
                ? t.cancelIt
                : t.cancelUnits(change.units, count(change.units))}
        </button>
        {!held && shown.length > 0 && wanted.size > 0 && (
          <button type="button" className="link min-h-9 text-xs" onClick={() => setWanted(new Map())}>
            {t.allToNone}
          </button>
        )}
      </div>
      <ActionMessage result={result} />
    </form>
  );
}
