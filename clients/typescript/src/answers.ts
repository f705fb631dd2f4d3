/** What the service answers, in types; and what is thrown where there is no answer to give. */
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type Reservation = Schemas["ReservationView"];
export type Sale = Schemas["SaleView"];
export type Item = Schemas["ItemView"];
export type Problem = Schemas["ProblemView"];
export type BuyerToken = Schemas["BuyerTokenView"];
export type SaleToCreate = Schemas["SaleBody"];

/** Granted; `replayed`: under the same key it had taken effect before. */
export interface Granted {
  granted: true;
  reservation: Reservation;
  replayed: boolean;
}

/** Refused for what a buyer can cause: sold-out, limit-reached, sale-not-open, reservation-expired, … */
export interface Refused {
  granted: false;
  code: string;
  problem: Problem;
}

export type Outcome = Granted | Refused;

/** The service answered a problem that no buyer caused: the caller must change something. */
export class ProblemError extends Error {
  override name = "ProblemError";
  constructor(
    readonly status: number,
    /** The problem's stable code; "" where something else than FlashGuard answered. */
    readonly code: string,
    readonly detail: string,
    /** The answer's X-Request-Id, to find it in the service's log. */
    readonly requestId: string | null,
  ) {
    super(`${code || status}: ${detail}`);
  }
}

/** No answer within the bound on tries. What was asked may have taken effect: the same key tells. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
  constructor(
    last: string,
    /** The idempotency key that was sent; ask again with it. */
    readonly key: string | null,
  ) {
    super(`no answer within the bound: ${last}`);
  }
}

const BUYERS_STATUS = new Set([404, 409]);

/** Granted or refused; throws any other problem. */
export function outcomeOf(response: Response, data: Reservation | undefined, error: unknown): Outcome {
  if (data !== undefined)
    return { granted: true, reservation: data, replayed: response.headers.get("Idempotent-Replayed") === "true" };
  if (isProblem(error) && (BUYERS_STATUS.has(response.status) || error.code === "queue-required"))
    return { granted: false, code: error.code, problem: error };
  throw errorOf(response, error);
}

/** The data; throws the problem where there is none. */
export function dataOf<T>(response: Response, data: T | undefined, error: unknown): T {
  if (data === undefined) throw errorOf(response, error);
  return data;
}

function errorOf(response: Response, error: unknown): ProblemError {
  const [code, detail] = isProblem(error) ? [error.code, error.detail] : ["", `HTTP ${response.status}`];
  return new ProblemError(response.status, code, detail, response.headers.get("X-Request-Id"));
}

function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "detail" in value;
}

async function bodyOf(answer: Response): Promise<unknown> {
  try {
    return await answer.clone().json();
  } catch {
    return null;
  }
}

export async function codeOf(answer: Response): Promise<string> {
  const body = await bodyOf(answer);
  return isProblem(body) ? body.code : "";
}

export async function problemOf(answer: Response): Promise<ProblemError> {
  return errorOf(answer, await bodyOf(answer));
}
