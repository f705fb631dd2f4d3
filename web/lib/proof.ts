/** An ALTCHA challenge (version 2): it hides a number, from which scrypt derives a key that begins with `keyPrefix`. */
export type Challenge = { parameters: { keyPrefix: string }; signature?: string };

type Solution = { counter: number; derivedKey: string };

/** ALTCHA's own worker, as a file of its own: the browser loads it when a proof is asked for. */
const WORKER = new URL("altcha/workers/scrypt", import.meta.url);
/** Start a worker. In a function: else the bundler starts a script that imports this one, which its policy forbids. */
const started = (address: URL) => new Worker(address);
const MOST_WORKERS = 4;
const SOLVE_MS = 120_000;

/** Return the solution as the API expects it: several workers share the numbers to try. */
export async function solve(challenge: Challenge): Promise<string> {
  const count = Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 1);
  const workers = Array.from({ length: count }, () => started(WORKER));
  try {
    const solution = await Promise.race(
      workers.map(
        (worker, counterStart) =>
          new Promise<Solution>((resolve, reject) => {
            worker.onmessage = ({ data }) => (data?.derivedKey ? resolve(data) : reject(new Error("no solution")));
            worker.onerror = () => reject(new Error("the solver can't be loaded"));
            worker.postMessage({ type: "work", challenge, counterStart, counterStep: count, timeout: SOLVE_MS });
          }),
      ),
    );
    return btoa(JSON.stringify({ challenge, solution }));
  } finally {
    workers.forEach((worker) => worker.terminate());
  }
}
