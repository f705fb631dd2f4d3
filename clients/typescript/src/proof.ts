/** Solves the challenge that a waiting room demands before a ticket: ALTCHA version 2, with scrypt. */

export interface Challenge {
  parameters: {
    nonce: string;
    salt: string;
    cost: number;
    memoryCost: number;
    parallelism: number;
    keyLength: number;
    keyPrefix: string;
  };
  signature: string;
}

interface Solution {
  counter: number;
  derivedKey: string;
}

/** Return the solution of a challenge, as a ticket's `proof`. */
export type Solver = (challenge: Challenge) => Promise<string>;

const MOST_WORKERS = 4;
const SOLVE_MS = 120_000;

export const proofOf = (challenge: Challenge, { counter, derivedKey }: Solution): string =>
  btoa(JSON.stringify({ challenge, solution: { counter, derivedKey } }));

/**
 * Return a solver for browsers. Workers share the numbers to try; each is ALTCHA's own (the npm package `altcha`):
 * `solveWith(() => new Worker(new URL("altcha/workers/scrypt", import.meta.url)))`
 */
export function solveWith(newWorker: () => Worker): Solver {
  return async (challenge) => {
    const count = Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 1);
    const workers = Array.from({ length: count }, newWorker);
    try {
      return proofOf(
        challenge,
        await Promise.race(workers.map((worker, from) => work(worker, challenge, from, count))),
      );
    } finally {
      for (const worker of workers) worker.terminate();
    }
  };
}

function work(worker: Worker, challenge: Challenge, counterStart: number, counterStep: number): Promise<Solution> {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data?.derivedKey ? resolve(data) : reject(new Error("The proof was not found.")));
    worker.onerror = () => reject(new Error("The worker that solves the proof can't be loaded."));
    worker.postMessage({ type: "work", challenge, counterStart, counterStep, timeout: SOLVE_MS });
  });
}
