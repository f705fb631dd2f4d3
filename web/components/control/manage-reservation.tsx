"use client";

import { api, bearer, exact, type Item, type Payment, type Reservation, type Right } from "@/lib/api/client";
import { money, time } from "@/lib/format";
import { useAction, type Answer, type KeyedRequest } from "@/lib/use-action";
import { useRead } from "@/lib/use-read";
import { Link } from "../link";
import { ActionMessage, Text } from "../ui";
import { Field, textOf } from "./field";
import { ChangeOrder } from "./order-change";
import { useTexts } from "./texts";

/** What an operator does with one hold or order, on a buyer's behalf. */
export function ManageReservation({
  reservation,
  items,
  admin,
  may,
  changed,
}: {
  reservation: Reservation;
  items: Item[];
  admin: string;
  may: (right: Right) => boolean;
  changed: () => void;
}) {
  const t = useTexts().find;
  const { busy, result, act } = useAction();
  const { id, status } = reservation;
  const params = { path: { id } };
  const headersOf = ({ headers, signal }: KeyedRequest) => ({ headers: { ...bearer(admin), ...headers }, signal });
  const payments = useRead(`${admin} ${id}`, async (signal) => {
    const answer = await api.GET("/v1/reservations/{id}/payments", { params, headers: bearer(admin), signal });
    return { ...answer, data: answer.data && exact<Payment[]>(answer.data.data) };
  });
  const run = (
    name: string,
    question: string | null,
    call: (request: KeyedRequest) => Promise<Answer<unknown>>,
    text: string,
  ) => {
    if (question && !confirm(question)) return;
    void act({
      name: `${name}:${id}`,
      call,
      done: () => {
        changed();
        return text;
      },
    });
  };
  return (
    <div className="sticky left-0 grid w-[min(100%,calc(100vw-4.25rem))] gap-3 py-2">
      <p className="text-soft">
        {reservation.expires_at && status === "held" && t.expires(time(reservation.expires_at))}
        {reservation.confirmed_at && t.confirmedAt(time(reservation.confirmed_at))}
        {reservation.cancelled_at &&
          ` ${t.cancelledAt(time(reservation.cancelled_at), reservation.cancel_reason ?? "")}`}
      </p>
      {status === "held" && may("sell") && (
        <div className="flex flex-wrap items-end gap-2">
          <button
            type="button"
            className="btn"
            disabled={busy}
            onClick={() =>
              run(
                "confirm",
                t.sureConfirm,
                ({ signal }) => api.POST("/v1/reservations/{id}/confirm", { params, headers: bearer(admin), signal }),
                t.isConfirmed,
              )
            }
          >
            {t.confirm}
          </button>
          <button
            type="button"
            className="btn"
            disabled={busy}
            onClick={() =>
              run(
                "extend",
                null,
                (request) => api.POST("/v1/reservations/{id}/extend", { params, ...headersOf(request) }),
                t.extended,
              )
            }
          >
            {t.extend}
          </button>
          <button
            type="button"
            className="btn btn-bad"
            disabled={busy}
            onClick={() =>
              run(
                "release",
                t.sureRelease,
                ({ signal }) => api.POST("/v1/reservations/{id}/release", { params, headers: bearer(admin), signal }),
                t.released,
              )
            }
          >
            {t.release}
          </button>
          {may("transfer") && (
            <form
              className="flex items-end gap-2"
              onSubmit={(event) => {
                event.preventDefault();
                const customer = textOf(new FormData(event.currentTarget), "customer");
                run(
                  `transfer:${customer}`,
                  t.sureTransfer(customer),
                  (request) =>
                    api.POST("/v1/reservations/{id}/transfer", { params, ...headersOf(request), body: { customer } }),
                  t.transferred,
                );
              }}
            >
              <Field label={t.toCustomer} name="customer" required maxLength={128} />
              <button className="btn" disabled={busy}>
                {t.transfer}
              </button>
            </form>
          )}
        </div>
      )}
      {(status === "held" ? may("sell") : status === "confirmed" && may("change-orders")) && (
        <ChangeOrder key={status} order={reservation} items={items} admin={admin} done={changed} />
      )}
      <ActionMessage result={result} />
      {payments.data && payments.data.length > 0 && (
        <ul aria-label={t.payments}>
          {payments.data.map((payment) => (
            <li key={payment.id}>
              <Link className="link" href={`/control/payments/?id=${encodeURIComponent(payment.id)}`}>
                {money(payment.amount_minor, payment.currency)}
              </Link>
              , <Text>{payment.provider}</Text>
            </li>
          ))}
        </ul>
      )}
    </div>
  );
}
