"use client";

import { useEffect, useState } from "react";
import { api, exact, type Reservation, type Sale } from "@/lib/api/client";
import { basketOf } from "@/lib/basket";
import { countdown, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { useQuery } from "@/lib/use-address";
import { useNow } from "@/lib/use-now";
import { Link } from "../link";
import { Empty, PageHeader, Panel, Pill, Text, type Tone } from "../ui";
import { Lines, price } from "./checkout";

/** The least time between two polls. Up to as much again is added at random, to spread pages out. */
const POLL_MS = 3_000;
const TIMEOUT_MS = 10_000;
const TONES: Record<Reservation["status"], Tone> = {
  held: "info",
  confirmed: "good",
  released: "soft",
  expired: "warn",
  cancelled: "bad",
};

/** One hold or order as its buyer sees it, polled while the page is visible. */
export function Order() {
  const { order: t, common, pages } = useMessages();
  const id = useQuery("id");
  const { order, sale, found } = useOrder(id ?? null);
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
          <p className="mb-3" aria-live="polite">
            {t.explained[order.status]}
          </p>
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
          <Link className="btn mt-4" href={`/sale/?id=${encodeURIComponent(sale.id)}`}>
            {t.toSale}
          </Link>
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

type Found = "yes" | "no" | "away" | null;

function useOrder(id: string | null) {
  const [order, setOrder] = useState<Reservation | null>(null);
  const [sale, setSale] = useState<Sale | null>(null);
  const [found, setFound] = useState<Found>(null);
  useEffect(() => {
    if (!id) return;
    let cancelled = false;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let named: Sale | null = null;
    const read = async () => {
      if (!document.hidden) {
        const signal = AbortSignal.timeout(TIMEOUT_MS);
        const answer = await api.GET("/v1/reservations/{id}", { params: { path: { id } }, signal }).catch(() => null);
        if (answer?.data && !named) {
          const params = { path: { sale: answer.data.sale_id } };
          const read = await api.GET("/v1/sales/{sale}", { params, signal }).catch(() => null);
          named = read?.data ? exact<Sale>(read.data) : null;
        }
        if (cancelled) return;
        const missing = answer && [404, 422].includes(answer.response.status);
        if (answer?.data) setOrder(answer.data);
        setSale(named);
        setFound(answer?.data ? "yes" : missing ? "no" : "away");
        if (missing) return;
      }
      timer = setTimeout(() => void read(), POLL_MS * (1 + Math.random()));
    };
    void read();
    return () => {
      cancelled = true;
      clearTimeout(timer);
    };
  }, [id]);
  return { order, sale, found };
}
