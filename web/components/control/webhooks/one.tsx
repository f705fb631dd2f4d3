"use client";

import { useRouter } from "next/router";
import type { ReactNode } from "react";
import { KeyRound, Power, Send, Trash2 } from "lucide-react";
import { api, bearer, exact, type Webhook } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { useAction } from "@/lib/use-action";
import { useRead } from "@/lib/use-read";
import { Copy } from "../../curl";
import { ActionMessage, Empty, Panel, Text } from "../../ui";
import { Field, Fields, Select, textOf } from "../field";
import { useTexts } from "../texts";
import { Deliveries } from "./deliveries";
import { EVENT_TYPES, EventFields, eventsOf } from "./events";
import { WebhookState } from "./webhooks";

const EVERY_MS = 3_000;
/** How long the old secret may sign beside the new one, in seconds. */
const OVERLAPS = [0, 3_600, 86_400, 7 * 86_400];

/** An endpoint: what it gets, its secret, its tests and its deliveries. */
export function OneWebhook({
  id,
  admin,
  changed,
  show,
  children,
}: {
  id: string;
  admin: string;
  changed: () => void;
  show: (secret: string) => void;
  children: ReactNode;
}) {
  const { common } = useMessages();
  const t = useTexts().webhooks;
  const router = useRouter();
  const { busy, result, act } = useAction();
  const params = { path: { id } };
  const headers = bearer(admin);
  const read = useRead(
    `${admin} ${id}`,
    async (signal) => {
      const answer = await api.GET("/v1/webhooks/{id}", { params, headers, signal });
      return { ...answer, data: answer.data && exact<Webhook>(answer.data) };
    },
    EVERY_MS,
  );
  const webhook = read.data;
  const again = () => {
    read.again();
    changed();
  };
  if (read.code === "unknown-webhook")
    return (
      <Panel title={<Text>{id}</Text>}>
        <Empty title={t.missing}>{t.missingId(<Text>{id}</Text>)}</Empty>
      </Panel>
    );
  if (!webhook)
    return (
      <Panel title={<Text>{id}</Text>}>
        {read.error ? <p role="alert">{read.error}</p> : <p className="text-soft">{common.loading}</p>}
      </Panel>
    );

  const change = (body: Partial<Pick<Webhook, "url" | "description" | "events" | "enabled">>, text: string) =>
    void act({
      name: `change:${id}`,
      content: body,
      call: ({ signal }) => api.PATCH("/v1/webhooks/{id}", { params, headers, signal, body }),
      done: () => {
        again();
        return text;
      },
    });
  const test = () =>
    void act({
      name: `test:${id}`,
      call: (request) =>
        api.POST("/v1/webhooks/{id}/test", {
          params,
          headers: { ...headers, ...request.headers },
          signal: request.signal,
        }),
      done: () => {
        again();
        return t.testSent;
      },
    });
  function rotate(form: HTMLFormElement) {
    if (!confirm(t.sureRotate)) return;
    const body = { overlap_seconds: Number(textOf(new FormData(form), "overlap")) };
    void act({
      name: `rotate:${id}`,
      content: body,
      call: (request) =>
        api.POST("/v1/webhooks/{id}/rotate-secret", {
          params,
          headers: { ...headers, ...request.headers },
          signal: request.signal,
          body,
        }),
      done: (now) => {
        if (now.secret) show(now.secret);
        again();
        return now.secret ? t.rotated : t.rotatedBefore;
      },
    });
  }
  function remove() {
    if (!confirm(t.sureDelete(count(webhook?.pending ?? 0)))) return;
    void act({
      name: `delete:${id}`,
      call: async ({ signal }) => {
        const { response, error } = await api.DELETE("/v1/webhooks/{id}", { params, headers, signal });
        return { response, error, data: response.ok || undefined };
      },
      done: () => {
        changed();
        void router.push("/control/webhooks/");
        return t.deleted;
      },
    });
  }

  return (
    <>
      <Panel
        title={<Text>{webhook.url}</Text>}
        aside={
          <div className="flex items-center gap-2">
            <WebhookState webhook={webhook} />
            <code>{id}</code>
            <Copy text={id} />
          </div>
        }
      >
        {webhook.disabled_at && (
          <p className="mb-3 text-warn">{t.offSince(time(webhook.disabled_at), webhook.disabled_why ?? "")}</p>
        )}
        {webhook.enabled && webhook.failing_since && (
          <p className="mb-3 text-bad">{t.failingSince(time(webhook.failing_since), count(webhook.pending))}</p>
        )}
        <form
          key={`${webhook.url} ${webhook.description} ${webhook.events.join()}`}
          className="grid gap-3"
          onSubmit={(event) => {
            event.preventDefault();
            const fields = new FormData(event.currentTarget);
            const events = eventsOf(fields) ?? [...EVENT_TYPES];
            change({ url: textOf(fields, "url"), description: textOf(fields, "description"), events }, t.saved);
          }}
        >
          <Fields>
            <Field label={t.url} name="url" type="url" required maxLength={2048} defaultValue={webhook.url} wide />
            <Field label={t.description} name="description" maxLength={200} defaultValue={webhook.description} wide />
          </Fields>
          <EventFields ticked={webhook.events} />
          <div className="flex flex-wrap gap-2">
            <button className="btn btn-main" disabled={busy}>
              {t.save}
            </button>
            <button type="button" className="btn" disabled={busy || !webhook.enabled} onClick={test}>
              <Send size={13} aria-hidden />
              {t.test}
            </button>
            <button
              type="button"
              className="btn"
              disabled={busy}
              onClick={() => change({ enabled: !webhook.enabled }, webhook.enabled ? t.isOff : t.isOn)}
            >
              <Power size={13} aria-hidden />
              {webhook.enabled ? t.turnOff : t.turnOn}
            </button>
            <button type="button" className="btn btn-bad" disabled={busy} onClick={remove}>
              <Trash2 size={13} aria-hidden />
              {t.delete}
            </button>
          </div>
        </form>
        <form
          className="mt-4 flex flex-wrap items-end gap-2 border-t border-line pt-4"
          onSubmit={(event) => {
            event.preventDefault();
            rotate(event.currentTarget);
          }}
        >
          <Select
            label={t.overlap}
            name="overlap"
            defaultValue="86400"
            options={OVERLAPS.map((seconds, at) => [String(seconds), t.overlaps[at]] as const)}
          />
          <button className="btn" disabled={busy}>
            <KeyRound size={13} aria-hidden />
            {t.rotate}
          </button>
          {webhook.old_secret_until && (
            <p className="min-h-8 content-center text-soft">{t.oldUntil(time(webhook.old_secret_until))}</p>
          )}
        </form>
        <ActionMessage result={result} />
        {children}
      </Panel>
      <Deliveries id={id} admin={admin} pending={webhook.pending} />
    </>
  );
}
