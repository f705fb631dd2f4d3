import dynamic from "next/dynamic";
import { areasLoaded } from "@/lib/language";

/** The simulator, shown together with its texts when another page leads to it. */
export default dynamic(async () => {
  const { Simulator } = await import("@/components/simulator/simulator");
  await areasLoaded();
  return Simulator;
});
