"use client";

import { useEffect, useState } from "react";
import { api, exact, type Simulation, type SimulationEvents } from "./api/client";
import { fold, isOver } from "./simulation";
import { useEvents, type Connection } from "./use-events";

type Looked = { id: string; found: "yes" | "no" | "away" };

/** A simulation, followed live until it is over. Its first read tells a wrong address from a service that is away. */
export function useSimulation(id: string | null) {
  const [simulation, setSimulation] = useState<Simulation | null>(null);
  const [looked, setLooked] = useState<Looked | null>(null);
  useEffect(() => {
    if (!id) return;
    let gone = false;
    void api.GET("/v1/simulations/{id}", { params: { path: { id } } }).then(
      ({ data, response }) => {
        if (gone) return;
        if (data) setSimulation(exact<Simulation>(data));
        setLooked({ id, found: data ? "yes" : response.status === 404 || response.status === 422 ? "no" : "away" });
      },
      () => {
        if (!gone) setLooked({ id, found: "away" });
      },
    );
    return () => {
      gone = true;
    };
  }, [id]);

  const mine = simulation?.id === id ? simulation : null;
  const found = looked?.id === id ? looked?.found : undefined;
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
