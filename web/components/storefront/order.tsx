"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import type { Payment, Problem, Reservation, Sale } from "@/lib/api/client";
import { detailOf } from "@/lib/api/client";
import { basketOf } from "@/lib/basket";
import { countdown, money, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { canPay, costOf, isPaidAlready, refundsOf, standingOf, type Back, type Standing } from "@/lib/payment";
import { useQuery } from "@/lib/use-address";
import { useNow } from "@/lib/use-now";
import { useOrder } from "@/lib/use-order";
import { beginPayment, goToPay, useProviders } from "@/lib/use-payment";
import { Link } from "../link";
import { Empty, PageHeader, Panel, Pill, Text, type Tone } from "../ui";
import { Lines, PayButtons, price } from "./checkout";

const TONES: Record<Reservation["status"], Tone> = {
  held: "info",
  confirmed: "good",
  released: "soft",
  expired: "warn",
  cancelled: "bad",
};

const RETURNED: Record<string, Back> = { done: "done", left: "left" };

/** One hold or order with its payment, as its buyer sees it, polled while the page is visible. */
export function Order() {
  const { order: t, common, pages } = useMessages();
  const id = useQuery("id");
  const back = RETURNED[useQuery("payment") ?? ""] ?? null;
  const { order, sale, payments, found, stopped, again } = useOrder(id ?? null, back);
  const now = useNow();
  if (id === undefined) return null;
  return (
    <div className="mx-auto grid w-full max-w-2xl grid-cols-[minmax(0,1fr)] gap-4">
      <PageHeader title={pages.order}>{t.intro}</PageHeader>
      {!id ? (
        <Empty title={t.noId} />
      ) : found === "no" ? (
        <Empty title={t.missing}>{t.missingId(<Text>{id}</Text>)}</Empty>
      ) : !order || !sale ? (
        <Empty title={found === "away" ? common.noAnswer : common.loading} />
      ) : (
        <Panel
          title={<Text>{sale.name}</Text>}
          aside={
            <span className="flex flex-wrap gap-2">
              {found === "away" && <Pill tone="warn">{common.stale}</Pill>}
              <Pill tone={TONES[order.status]} busy={order.status === "held"}>
                {t.statuses[order.status]}
              </Pill>
            </span>
          }
        >
          <State order={order} payments={payments} standing={standingOf(order, payments, back, now)} />
          <Lines sale={sale} reservation={order} />
          <dl className="mt-3 grid gap-x-6 gap-y-1 border-t border-line pt-3 sm:grid-cols-[auto_1fr]">
            <Row name={t.total}>{price(sale, basketOf(order.items), order.items)}</Row>
            <Row name={t.created}>{time(order.created_at)}</Row>
            {order.status === "held" && order.expires_at && (
              <Row name={t.expires}>{countdown(Date.parse(order.expires_at) - now)}</Row>
            )}
            {order.confirmed_at && <Row name={t.confirmed}>{time(order.confirmed_at)}</Row>}
            {order.cancelled_at && <Row name={t.cancelled}>{time(order.cancelled_at)}</Row>}
            {order.cancel_reason && (
              <Row name={t.reason}>
                <Text>{order.cancel_reason}</Text>
              </Row>
            )}
            {order.reference && (
              <Row name={t.reference}>
                <Text>{order.reference}</Text>
              </Row>
            )}
            <Row name={t.title}>
              <code className="break-all">{order.id}</code>
            </Row>
          </dl>
          {stopped && (
            <p className="mt-3 flex flex-wrap items-center gap-3 text-warn" role="status">
              {t.stopped}
              <button className="btn btn-small" onClick={again}>
                {common.checkAgain}
              </button>
            </p>
          )}
          <div className="mt-4 flex flex-wrap items-center gap-3">
            {canPay(order, standingOf(order, payments, back, now), now) && (
              <Pay sale={sale} order={order} payments={payments} again={again} />
            )}
            <Link className="btn" href={`/sale/?id=${encodeURIComponent(sale.id)}`}>
              {t.toSale}
            </Link>
          </div>
        </Panel>
      )}
    </div>
  );
}

const Row = ({ name, children }: { name: string; children: React.ReactNode }) => (
  <>
    <dt className="text-soft">{name}</dt>
    <dd className="max-sm:mb-1">{children}</dd>
  </>
);

/** Standings beside which the page also says how the hold ended. */
const ENDED = new Set<Standing>(["none", "order", "ended"]);

/** What became of the hold and of its money, in sentences. Screen readers announce the changes. */
function State({ order, payments, standing }: { order: Reservation; payments: Payment[]; standing: Standing }) {
  const t = useMessages().order;
  const cancelled = standing === "order" && order.status !== "confirmed";
  return (
    <div className="mb-3 grid gap-1" aria-live="polite">
      {ENDED.has(standing) && <p>{t.explained[order.status]}</p>}
      {standing !== "none" && !cancelled && <p>{t.standings[standing]}</p>}
      {refundsOf(payments).map(({ id, status, amount_minor, currency }) => (
        <p key={id} className={status === "failed" ? "text-bad" : ""}>
          {t.refunds[status](money(amount_minor, currency))}
        </p>
      ))}
    </div>
  );
}

/** Pay for a hold: begin, or go on with the payment that was begun. */
function Pay({
  sale,
  order,
  payments,
  again,
}: {
  sale: Sale;
  order: Reservation;
  payments: Payment[];
  again: () => void;
}) {
  const { basket: t } = useMessages();
  const providers = useProviders(costOf(sale, order) === "one");
  const [busy, setBusy] = useState(false);
  const [message, setMessage] = useState("");
  const router = useRouter();
  const begun = payments.at(-1)?.provider;
  if (!providers?.length || costOf(sale, order) !== "one") return null;
  async function pay(provider: string) {
    setBusy(true);
    setMessage("");
    const answer = await beginPayment(order.id, provider).catch(() => ({ data: undefined, error: undefined }));
    setBusy(false);
    if (answer.data) {
      // The browser's "back" leads here: it is no return from paying.
      await router.replace({ query: { id: order.id } }, undefined, { shallow: true });
      return goToPay(answer.data);
    }
    const problem = answer.error as Problem | undefined;
    if (!problem || !isPaidAlready(problem))
      setMessage(problem?.code === "provider-away" ? t.providerAway : detailOf(problem));
    again();
  }
  return (
    <>
      <PayButtons
        providers={begun && providers.includes(begun) ? [begun] : providers}
        busy={busy}
        pay={(provider) => void pay(provider)}
      />
      <p className="empty:hidden" aria-live="polite">
        {message}
      </p>
    </>
  );
}
