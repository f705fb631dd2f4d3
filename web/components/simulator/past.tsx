"use client";

import { useEffect, useState } from "react";
import { api, bearer, detailOf, exact, type SimulationSummary } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { Link } from "../link";
import { Empty, Panel, Pill, Scroll } from "../ui";
import { useTexts } from "./texts";
import { SIMULATION_TONES } from "./tones";

const SHOWN = 10;

/** The newest simulations of this installation, each with a link. */
export function Past({ admin, changed }: { admin: string; changed: string }) {
  const { past: t, statuses } = useTexts();
  const { noAnswer, loading } = useMessages().common;
  const [list, setList] = useState<SimulationSummary[] | null>(null);
  const [error, setError] = useState("");
  const [all, setAll] = useState(false);
  useEffect(() => {
    if (!admin) return;
    let cancelled = false;
    const read = api.GET("/v1/simulations", { headers: bearer(admin) });
    void read
      .catch(() => ({ data: undefined, error: undefined }))
      .then(({ data, error }) => {
        if (cancelled) return;
        setList(data ? exact<SimulationSummary[]>(data.data) : null);
        setError(data ? "" : detailOf(error));
      });
    return () => {
      cancelled = true;
    };
  }, [admin, changed]);
  const shown = admin ? (list ?? []) : [];
  return (
    <Panel title={t.title}>
      {!admin ? (
        <Empty title={t.needsKey}>{t.needsNone}</Empty>
      ) : error ? (
        <p role="alert" lang={error === noAnswer ? undefined : "en"} className="text-bad">
          {error}
        </p>
      ) : !list ? (
        <p className="text-soft">{loading}</p>
      ) : !list.length ? (
        <Empty title={t.none}>{t.pressStart}</Empty>
      ) : (
        <Scroll label={t.title}>
          <table className="table">
            <thead>
              <tr>
                <th>{t.started}</th>
                <th>{t.status}</th>
                <th className="num">{t.buyers}</th>
                <th className="num">{t.stock}</th>
                <th>{t.strategies}</th>
                <th className="num">{t.oversold}</th>
              </tr>
            </thead>
            <tbody>
              {shown.slice(0, all ? undefined : SHOWN).map((past) => {
                const oversold = Math.max(0, ...past.runs.map((run) => run.inventory_oversold));
                return (
                  <tr key={past.id}>
                    <td>
                      <Link className="link" href={`/simulator/?id=${past.id}`} prefetch={false}>
                        {time(past.created_at)}
                      </Link>
                    </td>
                    <td>
                      <Pill tone={SIMULATION_TONES[past.status]}>{statuses[past.status]}</Pill>
                    </td>
                    <td className="num">{count(past.buyers)}</td>
                    <td className="num">{count(past.stock)}</td>
                    <td>{past.strategies.join(", ")}</td>
                    <td className={`num ${oversold ? "font-semibold text-bad" : ""}`}>
                      {past.runs.length ? count(oversold) : "–"}
                    </td>
                  </tr>
                );
              })}
            </tbody>
          </table>
        </Scroll>
      )}
      {shown.length > SHOWN && !all && (
        <button className="btn btn-small mt-3" onClick={() => setAll(true)}>
          {t.all(count(shown.length))}
        </button>
      )}
    </Panel>
  );
}
