/** The types of the answers, and the errors that the client throws. */
import type { components } from "./schema.js";

type Schemas = components["schemas"];
export type Reservation = Schemas["ReservationView"];
export type Order = Schemas["OrderView"];
export type Payment = Schemas["PaymentView"];
export type Sale = Schemas["SaleView"];
export type Item = Schemas["ItemView"];
export type ItemChanges = Schemas["ItemPatch"];
export type ItemToAdd = Schemas["ItemBody"];
export type Pool = Schemas["PoolView"];
export type Place = Schemas["PlaceView"];
export type Problem = Schemas["ProblemView"];
export type BuyerToken = Schemas["BuyerTokenView"];
export type FactPage = Schemas["FactsView"];
export type Fact = FactPage["data"][number];
export type SaleToCreate = Schemas["SaleBody"];
export type SaleChanges = Schemas["SalePatch"];

/** The request took effect. `replayed`: an earlier request with the same key had done so. */
export interface Granted {
  granted: true;
  reservation: Reservation;
  replayed: boolean;
}

/** The request was refused for a reason that a buyer can cause: sold-out, limit-reached, sale-not-open, … */
export interface Refused {
  granted: false;
  code: string;
  problem: Problem;
}

export type Outcome = Granted | Refused;

/** A problem that no buyer causes, such as an invalid request: the calling code must change. */
export class ProblemError extends Error {
  override name = "ProblemError";
  constructor(
    readonly status: number,
    /** The stable code of the problem. Empty if a proxy answered in place of FlashGuard. */
    readonly code: string,
    readonly detail: string,
    /** The X-Request-Id of the answer. The service's log has the same id. */
    readonly requestId: string | null,
  ) {
    super(`${code || status}: ${detail}`);
  }
}

/** No answer within the limits of `Retry`. The request may have taken effect: the same key tells. */
export class NoAnswer extends Error {
  override name = "NoAnswer";
  constructor(
    last: string,
    /** The idempotency key of the request. Send it again with the same call. */
    readonly key: string | null,
  ) {
    super(`no answer within the retry limits: ${last}`);
  }
}

/** What is returned as a value: `OUTCOMES` of src/flashguard/errors.py; a test compares them. */
const OUTCOME_STATUS = new Set([404, 409]);
const OUTCOME_CODES = new Set(["queue-required"]);

/** Return whether the request was granted or refused, or throw any other problem. */
export function outcomeOf(response: Response, data: Reservation | undefined, error: unknown): Outcome {
  if (data !== undefined)
    return { granted: true, reservation: data, replayed: response.headers.get("Idempotent-Replayed") === "true" };
  return refusedOr(response, error);
}

/** Return the refusal, or throw a problem that is none. */
export function refusedOr(response: Response, error: unknown): Refused {
  if (isProblem(error) && (OUTCOME_STATUS.has(response.status) || OUTCOME_CODES.has(error.code)))
    return { granted: false, code: error.code, problem: error };
  throw errorOf(response, error);
}

/** Return the outcomes of a batch, in the order of its requests. */
export function outcomesOf(response: Response, data: Schemas["BatchView"] | undefined, error: unknown): Outcome[] {
  return dataOf(response, data, error).outcomes.map(({ reservation, problem, replayed }) => {
    if (reservation) return { granted: true, reservation, replayed: replayed === true };
    if (problem) return { granted: false, code: problem.code, problem };
    throw errorOf(response, error);
  });
}

/** Return the data of an answer, or throw its problem. */
export function dataOf<T>(response: Response, data: T | undefined, error: unknown): T {
  if (data === undefined) throw errorOf(response, error);
  return data;
}

/** Return if the service did what was asked. */
export function doneOr(response: Response, error: unknown): void {
  if (!response.ok) throw errorOf(response, error);
}

/** Return if there is no such sale any longer: 404 may be the answer to a repeated request. */
export function deletedOr(response: Response, error: unknown): void {
  if (response.ok || (isProblem(error) && error.code === "unknown-sale")) return;
  throw errorOf(response, error);
}

function errorOf(response: Response, error: unknown): ProblemError {
  const [code, detail] = isProblem(error) ? [error.code, error.detail] : ["", `HTTP ${response.status}`];
  return new ProblemError(response.status, code, detail, response.headers.get("X-Request-Id"));
}

export function isProblem(value: unknown): value is Problem {
  return typeof value === "object" && value !== null && "code" in value && "detail" in value;
}

async function bodyOf(response: Response): Promise<unknown> {
  try {
    return await response.clone().json();
  } catch {
    return null;
  }
}

/** Return the code of a problem, or an empty string. */
export async function codeOf(response: Response): Promise<string> {
  const body = await bodyOf(response);
  return isProblem(body) ? body.code : "";
}

/** Return the problem of an answer. */
export async function problemOf(response: Response): Promise<ProblemError> {
  return errorOf(response, await bodyOf(response));
}
