"use client";

import { useState } from "react";
import { api, bearer } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { Link } from "../../link";
import { ActionMessage, Panel } from "../../ui";
import { Field, Fields, textOf } from "../field";
import { Secret } from "../secret";
import { useTexts } from "../texts";
import { EVENT_TYPES, EventFields, eventsOf } from "./events";

/** The form for a new endpoint. Its secret is shown once, here. */
export function CreateWebhook({ admin, created }: { admin: string; created: () => void }) {
  const t = useTexts().webhooks;
  const { busy, result, act } = useAction();
  const [secret, setSecret] = useState("");

  function create(form: HTMLFormElement) {
    const fields = new FormData(form);
    const body = { url: textOf(fields, "url"), description: textOf(fields, "description"), events: eventsOf(fields) };
    void act({
      name: "create-webhook",
      content: body,
      call: ({ headers, signal }) =>
        api.POST("/v1/webhooks", { headers: { ...bearer(admin), ...headers }, signal, body }),
      done: (webhook) => {
        form.reset();
        setSecret(webhook.secret ?? "");
        created();
        return t.created(
          <Link className="link" href={`/control/webhooks/?id=${webhook.id}`}>
            {webhook.id}
          </Link>,
        );
      },
    });
  }

  return (
    <Panel title={t.create}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          create(event.currentTarget);
        }}
      >
        <Fields>
          <Field label={t.url} name="url" type="url" required maxLength={2048} placeholder="https://…" wide />
          <Field label={t.description} name="description" maxLength={200} wide />
        </Fields>
        <EventFields ticked={EVENT_TYPES} />
        <div>
          <button className="btn btn-main" disabled={busy}>
            {t.createIt}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
      {secret && <Secret label={t.secret} secret={secret} done={() => setSecret("")} />}
    </Panel>
  );
}
