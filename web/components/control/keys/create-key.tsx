"use client";

import { useState } from "react";
import { api, bearer, type ApiKey } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel, Text } from "../../ui";
import { Check, Field, Fields, Select, textOf } from "../field";
import { Secret } from "../secret";
import { useTexts } from "../texts";

const SCOPES = ["admin", "shop", "read"] as const satisfies readonly ApiKey["scopes"][number][];
const DAY = 86_400;
/** How long a new key lasts, in seconds; 0: until it is revoked. */
const LIFETIMES = [0, DAY, 30 * DAY, 365 * DAY];

/** The form for a new key, which is shown once, here. */
export function CreateKey({ admin, created }: { admin: string; created: () => void }) {
  const t = useTexts().keys;
  const { busy, result, act } = useAction();
  const [secret, setSecret] = useState<{ name: string; key: string } | null>(null);

  function create(form: HTMLFormElement) {
    const fields = new FormData(form);
    const seconds = Number(textOf(fields, "lifetime"));
    const body = {
      name: textOf(fields, "name"),
      scopes: SCOPES.filter((scope) => fields.has(scope)),
      expires_in_seconds: seconds || null,
    };
    void act({
      name: "create-key",
      content: body,
      call: (request) =>
        api.POST("/v1/keys", { headers: { ...bearer(admin), ...request.headers }, signal: request.signal, body }),
      done: (made) => {
        form.reset();
        setSecret({ name: made.name, key: made.key ?? "" });
        created();
        return made.key ? t.created(<Text>{made.name}</Text>) : t.createdBefore(made.id);
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
          <Field label={t.name} name="name" required maxLength={128} placeholder={t.nameExample} wide />
          <Select
            label={t.lasts}
            name="lifetime"
            options={LIFETIMES.map((seconds, at) => [String(seconds), t.lifetimes[at]] as const)}
          />
        </Fields>
        <fieldset>
          <legend className="mb-1 font-medium">{t.scopes}</legend>
          {SCOPES.map((scope) => (
            <Check
              key={scope}
              name={scope}
              label={
                <>
                  <code>{scope}</code> <span className="text-soft">{t.scope[scope]}</span>
                </>
              }
            />
          ))}
        </fieldset>
        <div>
          <button className="btn btn-main" disabled={busy}>
            {t.createIt}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
      {secret?.key && <Secret label={t.keyOf(secret.name)} secret={secret.key} done={() => setSecret(null)} />}
    </Panel>
  );
}
