"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { RotateCw } from "lucide-react";
import { api, bearer, exact, type Payment } from "@/lib/api/client";
import { money, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { useAction } from "@/lib/use-action";
import { useQuery } from "@/lib/use-address";
import { usePages, useRead } from "@/lib/use-read";
import { Copy, Curl } from "../curl";
import { Link } from "../link";
import { ActionMessage, Choice, Empty, Panel, Pill, Text, type Tone } from "../ui";
import type { SectionProps } from "./frame";
import { Again, Listed } from "./listed";
import { useTexts } from "./texts";

type Refund = Payment["refunds"][number];
type Shown = "failed" | "pending" | "all";

const TONES: Record<Payment["status"], Tone> = {
  open: "info",
  paid: "info",
  order: "good",
  refused: "warn",
  ended: "soft",
};
const REFUND_TONES: Record<Refund["status"], Tone> = { pending: "info", done: "good", failed: "bad" };
const SHOWN: readonly Shown[] = ["failed", "pending", "all"];
const EVERY_MS = 5_000;

/** Payments, those with a failed refund first, and one of them in full. */
export function Payments({ admin, may }: SectionProps) {
  const t = useTexts().payments;
  const id = useQuery("id") ?? null;
  const sale = useQuery("sale") ?? "";
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<Shown>("failed");
  const router = useRouter();
  const pages = usePages(
    `${admin} ${shown} ${search} ${sale}`,
    async (cursor, signal) => {
      const query = {
        limit: 50,
        ...(cursor && { cursor }),
        ...(shown !== "all" && { refund: shown }),
        ...(search && { reservation: search }),
        ...(sale && { sale }),
      };
      const answer = await api.GET("/v1/payments", { params: { query }, headers: bearer(admin), signal });
      return { ...answer, data: answer.data && { ...answer.data, data: exact<Payment[]>(answer.data.data) } };
    },
    EVERY_MS,
  );
  return (
    <>
      {id && <OnePayment key={id} id={id} admin={admin} mayRefund={may("change-orders")} changed={pages.again} />}
      <Panel
        title={t.title}
        aside={
          <div className="flex flex-wrap items-center gap-2">
            <Choice
              label={t.refunds}
              value={shown}
              onChange={setShown}
              options={SHOWN.map((name) => [name, t.shown[name]] as const)}
            />
            <input
              className="field !min-h-8 !w-56"
              type="search"
              aria-label={t.search}
              placeholder={t.search}
              value={search}
              onChange={(event) => setSearch(event.target.value.trim())}
            />
            <Again again={pages.again} />
          </div>
        }
      >
        {sale && (
          <p className="mb-3 flex flex-wrap items-center gap-2">
            {t.ofSale(<Text>{sale}</Text>)}
            <button type="button" className="btn btn-small" onClick={() => void router.push("/control/payments/")}>
              {t.allSales}
            </button>
          </p>
        )}
        <Listed
          pages={pages}
          label={t.title}
          columns={[t.status, t.amount, t.order, t.provider, t.created]}
          empty={
            <Empty title={search ? t.noMatch : t.none[shown]}>
              {search ? t.completeId : shown === "failed" ? t.nothingToDo : t.noProviders}
            </Empty>
          }
        >
          {(row) => (
            <tr key={row.id}>
              <td>
                <Pill tone={TONES[row.status]}>{t.statuses[row.status]}</Pill>
                {row.refunds.some((refund) => needsRetry(refund)) && (
                  <span className="block text-xs text-bad">{t.refundFailed}</span>
                )}
              </td>
              <td className="num">
                <Link className="link font-medium" href={`/control/payments/?id=${encodeURIComponent(row.id)}`}>
                  {money(row.amount_minor, row.currency)}
                </Link>
              </td>
              <td>
                <code>{row.reservation_id}</code>
              </td>
              <td>
                <Text>{row.provider}</Text>
              </td>
              <td>{time(row.created_at)}</td>
            </tr>
          )}
        </Listed>
        <Curl path="/v1/payments?refund=failed" admin />
      </Panel>
    </>
  );
}

const needsRetry = (refund: Refund) => refund.status === "failed" && refund.retried_as === null;

/** A payment with its refunds, and the button that asks for those that are not done. */
function OnePayment({
  id,
  admin,
  mayRefund,
  changed,
}: {
  id: string;
  admin: string;
  mayRefund: boolean;
  changed: () => void;
}) {
  const { common } = useMessages();
  const t = useTexts().payments;
  const { busy, result, act } = useAction();
  const params = { path: { id } };
  const read = useRead(
    `${admin} ${id}`,
    async (signal) => {
      const answer = await api.GET("/v1/payments/{id}", { params, headers: bearer(admin), signal });
      return { ...answer, data: answer.data && exact<Payment>(answer.data) };
    },
    EVERY_MS,
  );
  const payment = read.data;
  const waits = payment?.refunds.some((refund) => refund.status === "pending" || needsRetry(refund));

  function retry() {
    if (!payment || !confirm(t.sureRetry(money(payment.amount_minor, payment.currency)))) return;
    void act({
      name: `refund:${id}`,
      call: ({ signal }) => api.POST("/v1/payments/{id}/refund", { params, headers: bearer(admin), signal }),
      done: (now) => {
        read.again();
        changed();
        return now.refunds.some(needsRetry) ? t.failedAgain : t.asked;
      },
    });
  }

  if (read.code === "unknown-payment")
    return (
      <Panel title={<Text>{id}</Text>}>
        <Empty title={t.missing}>{t.missingId(<Text>{id}</Text>)}</Empty>
      </Panel>
    );
  return (
    <Panel
      title={<code>{id}</code>}
      aside={
        payment && (
          <div className="flex items-center gap-2">
            <Pill tone={TONES[payment.status]}>{t.statuses[payment.status]}</Pill>
            <Copy text={id} />
          </div>
        )
      }
    >
      {!payment ? (
        <p className="text-soft">{read.error || common.loading}</p>
      ) : (
        <>
          <dl className="mb-3 grid gap-x-6 gap-y-2 sm:grid-cols-2 lg:grid-cols-4">
            {(
              [
                [t.amount, money(payment.amount_minor, payment.currency)],
                [t.paid, money(payment.paid_minor, payment.currency)],
                [t.provider, <Text key="p">{payment.provider}</Text>],
                [t.order, <code key="o">{payment.reservation_id}</code>],
                [t.created, time(payment.created_at)],
                [t.paidAt, payment.paid_at ? time(payment.paid_at) : "–"],
                [t.why, payment.why ? <Text key="w">{payment.why}</Text> : "–"],
              ] as const
            ).map(([name, value]) => (
              <div key={name} className="min-w-0">
                <dt className="text-xs text-soft">{name}</dt>
                <dd className="break-all">{value}</dd>
              </div>
            ))}
          </dl>
          <Listed
            pages={{ ...read, rows: payment.refunds, older: null }}
            label={t.refunds}
            columns={[t.refund, t.status, t.amount, t.why, t.created, t.error]}
            empty={<Empty title={t.noRefund} />}
          >
            {(refund) => (
              <tr key={refund.id}>
                <td>
                  <code>{refund.id}</code>
                </td>
                <td>
                  <Pill tone={REFUND_TONES[refund.status]}>{t.refundStates[refund.status]}</Pill>
                  {refund.retried_as && <span className="block text-xs text-soft">{t.retried}</span>}
                </td>
                <td className="num">{money(refund.amount_minor, refund.currency)}</td>
                <td>
                  <Text>{refund.reason}</Text>
                </td>
                <td>{time(refund.created_at)}</td>
                <td lang="en">{refund.error ? <Text className="text-bad">{refund.error}</Text> : "–"}</td>
              </tr>
            )}
          </Listed>
          {mayRefund && waits && (
            <button type="button" className="btn mt-3" disabled={busy} onClick={retry}>
              <RotateCw size={13} aria-hidden />
              {t.retry}
            </button>
          )}
          <ActionMessage result={result} />
        </>
      )}
    </Panel>
  );
}
