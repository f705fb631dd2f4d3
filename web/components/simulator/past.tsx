"use client";

import { useEffect, useState } from "react";
import { api, bearer, detailOf, exact, type SimulationSummary } from "@/lib/api/client";
import { count, time } from "@/lib/format";
import { Link } from "../link";
import { Empty, Panel, Pill, Scroll } from "../ui";
import { SIMULATION_TONES } from "./tones";

const SHOWN = 10;

/** The newest simulations of this installation, each with a link. */
export function Past({ admin, changed }: { admin: string; changed: string }) {
  const [list, setList] = useState<SimulationSummary[] | null>(null);
  const [error, setError] = useState("");
  const [all, setAll] = useState(false);
  useEffect(() => {
    if (!admin) return;
    let cancelled = false;
    void api.GET("/v1/simulations", { headers: bearer(admin) }).then(
      ({ data, error }) => {
        if (cancelled) return;
        setList(data ? exact<SimulationSummary[]>(data.data) : null);
        setError(data ? "" : detailOf(error));
      },
      () => {
        if (!cancelled) setError("FlashGuard does not answer.");
      },
    );
    return () => {
      cancelled = true;
    };
  }, [admin, changed]);
  const shown = admin ? (list ?? []) : [];
  return (
    <Panel title="Past simulations">
      {!admin ? (
        <Empty title="The list needs the admin key">
          Anyone with the address of a simulation can open it without a key.
        </Empty>
      ) : error ? (
        <p role="alert" className="text-bad">
          {error}
        </p>
      ) : !list ? (
        <p className="text-soft">Loading…</p>
      ) : !list.length ? (
        <Empty title="No simulation yet">Press Start above. Each run is listed here with its figures.</Empty>
      ) : (
        <Scroll label="Past simulations">
          <table className="table">
            <thead>
              <tr>
                <th>Started</th>
                <th>Status</th>
                <th className="num">Buyers</th>
                <th className="num">Stock</th>
                <th>Strategies</th>
                <th className="num">Oversold</th>
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
                      <Pill tone={SIMULATION_TONES[past.status]}>{past.status}</Pill>
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
          Show all {count(shown.length)}
        </button>
      )}
    </Panel>
  );
}
