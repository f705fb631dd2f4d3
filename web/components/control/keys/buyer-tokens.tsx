"use client";

import { api, bearer } from "@/lib/api/client";
import { useAction } from "@/lib/use-action";
import { ActionMessage, Panel } from "../../ui";
import { Field, textOf } from "../field";
import { useTexts } from "../texts";

/** The form that ends one buyer's token before its time. */
export function BuyerTokens({ admin }: { admin: string }) {
  const t = useTexts().keys;
  const { busy, result, act } = useAction();

  function revoke(form: HTMLFormElement) {
    const id = textOf(new FormData(form), "id");
    if (!confirm(t.sureToken(id))) return;
    void act({
      name: `revoke-token:${id}`,
      call: ({ signal }) =>
        api.POST("/v1/buyer-tokens/{id}/revoke", { params: { path: { id } }, headers: bearer(admin), signal }),
      done: (token) => {
        form.reset();
        return t.tokenRevoked(token.id);
      },
    });
  }

  return (
    <Panel title={t.tokens}>
      <p className="mb-3 text-soft">{t.tokensWhat}</p>
      <form
        className="flex flex-wrap items-end gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          revoke(event.currentTarget);
        }}
      >
        <Field
          label={t.tokenId}
          name="id"
          required
          className="w-full max-w-sm"
          placeholder="5f0c7a1e9b3d4c2f8a6e1b7d"
        />
        <button className="btn btn-bad" disabled={busy}>
          {t.revokeToken}
        </button>
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
