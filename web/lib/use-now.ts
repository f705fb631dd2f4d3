import { useEffect, useState } from "react";

const TICK_MS = 500;

/** The time in Unix milliseconds; the component is drawn again at each tick. */
export function useNow(): number {
  const [now, setNow] = useState(() => Date.now());
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), TICK_MS);
    return () => clearInterval(timer);
  }, []);
  return now;
}
