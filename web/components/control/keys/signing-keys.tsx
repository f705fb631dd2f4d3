"use client";

import { api, bearer, exact, type SigningKey } from "@/lib/api/client";
import { time } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { useNow } from "@/lib/use-now";
import { useRead } from "@/lib/use-read";
import { ActionMessage, Empty, Panel, Pill } from "../../ui";
import { Check } from "../field";
import { Again, Listed } from "../listed";
import { useTexts } from "../texts";

/** The keys that sign buyers' tokens, and their replacement. */
export function SigningKeys({ admin }: { admin: string }) {
  const t = useTexts().keys;
  const now_ms = useNow();
  const { busy, result, act } = useAction();
  const read = useRead(admin, async (signal) => {
    const answer = await api.GET("/v1/signing-keys", { headers: bearer(admin), signal });
    return { ...answer, data: answer.data && exact<SigningKey[]>(answer.data.data) };
  });
  const stateOf = (row: SigningKey) =>
    row.ends_at !== null ? "old" : Date.parse(row.signs_from) > now_ms ? "next" : "signs";

  function rotate(revoke: boolean) {
    if (!confirm(revoke ? t.sureRevokeAll : t.sureRotateSigning)) return;
    void act({
      name: "rotate-signing",
      content: revoke,
      call: (request) =>
        api.POST("/v1/signing-keys/rotate", {
          headers: { ...bearer(admin), ...request.headers },
          signal: request.signal,
          body: { revoke },
        }),
      done: () => {
        read.again();
        return revoke ? t.allRevoked : t.signingRotated;
      },
    });
  }

  return (
    <Panel title={t.signing} aside={<Again again={read.again} />}>
      <p className="mb-3 text-soft">{t.signingWhat}</p>
      <Listed
        pages={{ ...read, rows: read.data, older: null }}
        label={t.signing}
        columns={[t.keyId, t.status, t.signsFrom, t.tokensEnd]}
        empty={<Empty title={t.noSigning} />}
      >
        {(row) => (
          <tr key={row.id}>
            <td>
              <code>{row.id}</code>
            </td>
            <td>
              <Pill tone={row.ends_at ? "soft" : "good"}>{t.signingStates[stateOf(row)]}</Pill>
            </td>
            <td>{time(row.signs_from)}</td>
            <td>{row.ends_at ? time(row.ends_at) : t.never}</td>
          </tr>
        )}
      </Listed>
      <form
        className="mt-3 flex flex-wrap items-center gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          rotate(new FormData(event.currentTarget).has("revoke"));
        }}
      >
        <button className="btn" disabled={busy}>
          {t.rotateSigning}
        </button>
        <Check name="revoke" label={t.revokeAll} />
      </form>
      <ActionMessage result={result} />
    </Panel>
  );
}
