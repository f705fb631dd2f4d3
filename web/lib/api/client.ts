import createClient from "openapi-fetch";
import { buyer } from "../buyer";
import { adminKey, signOut } from "../key-store";
import { messages } from "../language";
import type { components, paths } from "./schema";

export const API_URL = process.env.NEXT_PUBLIC_API_URL ?? "";
export const api = createClient<paths>({ baseUrl: API_URL });

/** Calls that carry the buyer's token if this tab has one. */
const BUYERS_CALLS = /\/v1\/(sales\/|reservations\/|waiting-list\/|payment-providers$)/;
api.use({
  onRequest({ request }) {
    const token = BUYERS_CALLS.test(request.url) && !request.headers.has("Authorization") && buyer()?.token;
    if (token) request.headers.set("Authorization", `Bearer ${token}`);
  },
  onResponse({ request, response }) {
    const key = adminKey();
    if (response.status === 401 && key && request.headers.get("Authorization") === `Bearer ${key}`)
      signOut(messages().key.rejected);
  },
});

type Schemas = components["schemas"];
export type Sale = Schemas["SaleView"];
export type Item = Schemas["ItemView"];
export type Pool = Schemas["PoolView"];
export type Reservation = Schemas["ReservationView"];
export type Payment = Schemas["PaymentView"];
export type PaymentRefund = Schemas["PaymentRefundView"];
export type Place = Schemas["PlaceView"];
export type Entry = Schemas["WaitingView"];
export type System = Schemas["SystemView"];
export type Component = Schemas["ComponentView"];
export type Simulation = Schemas["SimulationView"];
export type SimulationSummary = Schemas["SimulationSummary"];
export type Counters = Schemas["CountersView"];
export type RunResult = Schemas["RunResultView"];
export type LogLine = Schemas["LogLineView"];
export type SeriesPoint = Schemas["SeriesPointView"];
export type Strategy = Schemas["SimulationBody"]["strategies"][number];
export type Audit = Schemas["SaleAuditView"];
export type Webhook = Schemas["WebhookView"];
export type Delivery = Schemas["DeliveryView"];
export type ReplayBody = Schemas["ReplayBody"];
export type ApiKey = Schemas["KeyView"];
export type SigningKey = Schemas["SigningKeyView"];
export type AdminAction = Schemas["AdminActionView"];
export type ShadowReport = Schemas["ShadowReportView"];
export type Ready = Schemas["ReadyView"];
export type Caller = Schemas["CallerView"];
export type Right = Caller["rights"][number];
export type SaleEvents = Schemas["SaleEvents"];
export type TicketEvents = Schemas["TicketEvents"];
export type SimulationEvents = Schemas["SimulationEvents"];
export type Problem = Schemas["ProblemView"];

type Loose<T> = T extends readonly (infer Each)[]
  ? Loose<Each>[]
  : T extends object
    ? { [Name in keyof T]: Loose<T[Name]> }
    : T;

/** Give an answer its exact type: openapi-fetch 0.17 loses the length of tuples. */
export const exact = <T>(answer: Loose<T>): T => answer as T;

/** Return a problem's detail as the API wrote it, or that there was no answer. */
export function detailOf(error: unknown): string {
  if (error && typeof error === "object" && "detail" in error && typeof error.detail === "string") return error.detail;
  return messages().common.noAnswer;
}

export const bearer = (key: string) => ({ Authorization: `Bearer ${key}` });
