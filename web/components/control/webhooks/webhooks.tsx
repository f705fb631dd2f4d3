"use client";

import { useState } from "react";
import { api, bearer, exact, type Webhook } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useQuery } from "@/lib/use-address";
import { useRead } from "@/lib/use-read";
import { Curl } from "../../curl";
import { Link } from "../../link";
import { Empty, Panel, Pill, Text } from "../../ui";
import type { SectionProps } from "../frame";
import { Again, Listed } from "../listed";
import { Secret } from "../secret";
import { useTexts } from "../texts";
import { CreateWebhook } from "./create";
import { EVENT_TYPES } from "./events";
import { OneWebhook } from "./one";

/** How often the list is read again: a delivery takes seconds. */
const EVERY_MS = 5_000;

/** The endpoints, the form for a new one, and the endpoint that the address names. */
export function Webhooks({ admin }: SectionProps) {
  const t = useTexts().webhooks;
  const id = useQuery("id") ?? null;
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<{ id: string; secret: string } | null>(null);
  const list = useRead(
    admin,
    async (signal) => {
      const answer = await api.GET("/v1/webhooks", { headers: bearer(admin), signal });
      return { ...answer, data: answer.data && exact<Webhook[]>(answer.data.data) };
    },
    EVERY_MS,
  );
  const wanted = search.trim().toLowerCase();
  const rows = list.data?.filter((row) => `${row.url} ${row.description} ${row.id}`.toLowerCase().includes(wanted));
  const secretOf = (of: string) =>
    shown?.id === of && <Secret label={t.secret} secret={shown.secret} done={() => setShown(null)} />;
  return (
    <>
      {id && (
        <OneWebhook key={id} id={id} admin={admin} changed={list.again} show={(secret) => setShown({ id, secret })}>
          {secretOf(id)}
        </OneWebhook>
      )}
      <Panel
        title={t.title}
        aside={
          <div className="flex flex-wrap items-center gap-2">
            <input
              className="field !min-h-8 !w-56"
              type="search"
              aria-label={t.search}
              placeholder={t.search}
              value={search}
              onChange={(event) => setSearch(event.target.value)}
            />
            <Again again={list.again} />
          </div>
        }
      >
        <Listed
          pages={{ ...list, rows: rows ?? null, older: null }}
          label={t.title}
          columns={[t.url, t.state, t.events, t.pending, t.delivered]}
          empty={<Empty title={search ? t.noMatch : t.none}>{!search && t.createOne}</Empty>}
        >
          {(row) => (
            <tr key={row.id}>
              <td>
                <Link className="link font-medium" href={`/control/webhooks/?id=${row.id}`}>
                  <Text>{row.url}</Text>
                </Link>
                {row.description && (
                  <span className="block text-xs text-soft">
                    <Text>{row.description}</Text>
                  </span>
                )}
              </td>
              <td>
                <WebhookState webhook={row} />
              </td>
              <td>{row.events.length === EVENT_TYPES.length ? t.allEvents : count(row.events.length)}</td>
              <td className="num">{count(row.pending)}</td>
              <td>{row.delivered_at ? time(row.delivered_at) : t.never}</td>
            </tr>
          )}
        </Listed>
        <Curl path="/v1/webhooks" admin />
      </Panel>
      <CreateWebhook admin={admin} created={list.again} />
    </>
  );
}

/** Whether an endpoint takes messages, and if not, why. */
export function WebhookState({ webhook }: { webhook: Webhook }) {
  const t = useTexts().webhooks;
  if (!webhook.enabled) return <Pill tone="soft">{t.off}</Pill>;
  if (webhook.failing_since) return <Pill tone="bad">{t.failing}</Pill>;
  return <Pill tone="good">{t.on}</Pill>;
}
