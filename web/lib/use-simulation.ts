"use client";

import { useEffect, useState } from "react";
import { api, exact, type Simulation, type SimulationEvents } from "./api/client";
import { fold, isOver } from "./simulation";
import { useEvents, type Connection } from "./use-events";

type FirstRead = { id: string; found: "yes" | "no" | "away" };

/** Follow a simulation until it is over. The first read tells a wrong address from a service that does not answer. */
export function useSimulation(id: string | null) {
  const [simulation, setSimulation] = useState<Simulation | null>(null);
  const [firstRead, setFirstRead] = useState<FirstRead | null>(null);
  useEffect(() => {
    if (!id) return;
    let cancelled = false;
    void api.GET("/v1/simulations/{id}", { params: { path: { id } } }).then(
      ({ data, response }) => {
        if (cancelled) return;
        if (data) setSimulation(exact<Simulation>(data));
        setFirstRead({ id, found: data ? "yes" : response.status === 404 || response.status === 422 ? "no" : "away" });
      },
      () => {
        if (!cancelled) setFirstRead({ id, found: "away" });
      },
    );
    return () => {
      cancelled = true;
    };
  }, [id]);

  const mine = simulation?.id === id ? simulation : null;
  const found = firstRead?.id === id ? firstRead?.found : undefined;
  const over = mine !== null && isOver(mine);
  const follows = id !== null && found !== undefined && found !== "no" && !over;
  const connection = useEvents<SimulationEvents>(follows ? `/v1/simulations/${encodeURIComponent(id)}/events` : null, {
    simulation: (data) => setSimulation((old) => fold(old, "simulation", data)),
    counters: (data) => setSimulation((old) => fold(old, "counters", data)),
    log: (data) => setSimulation((old) => fold(old, "log", data)),
    run: (data) => setSimulation((old) => fold(old, "run", data)),
  });
  const shown: Connection | "over" = over ? "over" : connection === "refused" ? "lost" : connection;
  return { simulation: mine, missing: found === "no", connection: shown };
}
