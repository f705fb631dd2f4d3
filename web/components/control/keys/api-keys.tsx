"use client";

import { useState } from "react";
import { api, bearer, exact, type ApiKey } from "@/lib/api/client";
import { time } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { usePages } from "@/lib/use-read";
import { Curl } from "../../curl";
import { ActionMessage, Choice, Empty, Panel, Pill, Text, type Tone } from "../../ui";
import { Again, Listed } from "../listed";
import { Secret } from "../secret";
import { useTexts } from "../texts";
import { CreateKey } from "./create-key";

const TONES: Record<ApiKey["status"], Tone> = { live: "good", expired: "soft", revoked: "bad" };
const DAY = 86_400;
/** How long a replaced key goes on to work, in seconds. */
const GRACES = [0, 3_600, DAY, 7 * DAY];
const SHOWN = ["live", "all"] as const;

/** The API keys: created, replaced and revoked. A key is shown once. */
export function ApiKeys({ admin, own }: { admin: string; own: string | null }) {
  const t = useTexts().keys;
  const [search, setSearch] = useState("");
  const [shown, setShown] = useState<(typeof SHOWN)[number]>("live");
  const [secret, setSecret] = useState<{ name: string; key: string } | null>(null);
  const { busy, result, act } = useAction();
  const headers = bearer(admin);
  const pages = usePages(admin, async (cursor, signal) => {
    const query = { limit: 50, ...(cursor && { cursor }) };
    const answer = await api.GET("/v1/keys", { params: { query }, headers, signal });
    return { ...answer, data: answer.data && { ...answer.data, data: exact<ApiKey[]>(answer.data.data) } };
  });
  const wanted = search.trim().toLowerCase();
  const rows = pages.rows?.filter(
    (row) =>
      (shown === "all" || row.status === "live") &&
      `${row.name} ${row.id} ${row.hint} ${row.scopes.join(" ")}`.toLowerCase().includes(wanted),
  );
  const keep = (made: { name: string; key: string | null }) => {
    if (made.key) setSecret({ name: made.name, key: made.key });
    pages.again();
  };

  function rotate(row: ApiKey, grace_seconds: number) {
    if (!confirm(t.sureRotate(row.name))) return;
    void act({
      name: `rotate-key:${row.id}`,
      content: grace_seconds,
      call: (request) =>
        api.POST("/v1/keys/{id}/rotate", {
          params: { path: { id: row.id } },
          headers: { ...headers, ...request.headers },
          signal: request.signal,
          body: { grace_seconds },
        }),
      done: (made) => {
        keep(made);
        return made.key ? t.rotated(<Text>{made.name}</Text>) : t.createdBefore(made.id);
      },
    });
  }
  function revoke(row: ApiKey) {
    if (!confirm(row.id === own ? t.sureRevokeOwn : t.sureRevoke(row.name))) return;
    void act({
      name: `revoke-key:${row.id}`,
      call: ({ signal }) => api.POST("/v1/keys/{id}/revoke", { params: { path: { id: row.id } }, headers, signal }),
      done: (now) => {
        pages.again();
        return t.revoked(<Text>{now.name}</Text>);
      },
    });
  }

  return (
    <>
      <Panel
        title={t.title}
        aside={
          <div className="flex flex-wrap items-center gap-2">
            <Choice
              label={t.status}
              value={shown}
              onChange={setShown}
              options={SHOWN.map((name) => [name, t.shown[name]] as const)}
            />
            <input
              className="field !min-h-8 !w-48"
              type="search"
              aria-label={t.search}
              placeholder={t.search}
              value={search}
              onChange={(event) => setSearch(event.target.value)}
            />
            <Again again={pages.again} />
          </div>
        }
      >
        {own === "bootstrap" && <p className="mb-3 text-soft">{t.bootstrap}</p>}
        <Listed
          pages={{ ...pages, rows: rows ?? null }}
          label={t.title}
          columns={[
            t.name,
            t.status,
            t.scopes,
            t.expires,
            t.used,
            <span key="do" className="sr-only">
              {t.change}
            </span>,
          ]}
          empty={<Empty title={pages.rows?.length ? t.noMatch : t.none}>{!pages.rows?.length && t.createOne}</Empty>}
        >
          {(row) => (
            <tr key={row.id} className={row.status === "live" ? "" : "text-soft"}>
              <td>
                <Text className="font-medium">{row.name}</Text>
                <span className="block text-xs text-soft">
                  <code>
                    {row.id.slice(0, 16)}… ····{row.hint}
                  </code>
                </span>
              </td>
              <td>
                <Pill tone={TONES[row.status]}>{t.statuses[row.status]}</Pill>
                {row.id === own && <span className="block text-xs text-soft">{t.yours}</span>}
                {row.rotated_to && <span className="block text-xs text-soft">{t.replaced}</span>}
              </td>
              <td>
                <code>{row.scopes.join(", ")}</code>
              </td>
              <td>
                {row.revoked_at ? t.ended(time(row.revoked_at)) : row.expires_at ? time(row.expires_at) : t.never}
              </td>
              <td>{row.last_used_at ? time(row.last_used_at) : t.unused}</td>
              <td>
                {row.status === "live" && (
                  <KeyChange
                    name={row.name}
                    busy={busy}
                    rotate={(grace) => rotate(row, grace)}
                    revoke={() => revoke(row)}
                  />
                )}
              </td>
            </tr>
          )}
        </Listed>
        <ActionMessage result={result} />
        {secret && <Secret label={t.keyOf(secret.name)} secret={secret.key} done={() => setSecret(null)} />}
        <Curl path="/v1/keys" admin />
      </Panel>
      <CreateKey admin={admin} created={pages.again} />
    </>
  );
}

function KeyChange({
  name,
  busy,
  rotate,
  revoke,
}: {
  name: string;
  busy: boolean;
  rotate: (grace_seconds: number) => void;
  revoke: () => void;
}) {
  const t = useTexts().keys;
  const [grace, setGrace] = useState(DAY);
  return (
    <span className="flex items-center gap-2">
      <select
        className="btn btn-small"
        aria-label={t.graceOf(name)}
        value={grace}
        onChange={(event) => setGrace(Number(event.target.value))}
      >
        {GRACES.map((seconds, at) => (
          <option key={seconds} value={seconds}>
            {t.graces[at]}
          </option>
        ))}
      </select>
      <button
        type="button"
        className="btn btn-small"
        disabled={busy}
        aria-label={t.rotateOf(name)}
        onClick={() => rotate(grace)}
      >
        {t.rotate}
      </button>
      <button
        type="button"
        className="btn btn-small btn-bad"
        disabled={busy}
        aria-label={t.revokeOf(name)}
        onClick={revoke}
      >
        {t.revoke}
      </button>
    </span>
  );
}
