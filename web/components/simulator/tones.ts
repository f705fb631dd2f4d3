import type { Simulation } from "@/lib/api/client";
import type { Tone } from "../ui";

/** The colour of a simulation's status. */
export const SIMULATION_TONES: Record<Simulation["status"], Tone> = {
  starting: "info",
  running: "info",
  finished: "good",
  stopped: "warn",
  failed: "bad",
};
