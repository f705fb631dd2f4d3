/** A client for a running FlashGuard, in browsers (with a buyer's token) and on servers (with an API key). */
import createClient, { type Client } from "openapi-fetch";
import { dataOf, outcomeOf } from "./answers.js";
import type { BuyerToken, Outcome, Reservation, Sale, SaleToCreate } from "./answers.js";
import { retrying, type Line } from "./retry.js";
import type { paths } from "./schema.js";

export { NoAnswer, ProblemError } from "./answers.js";
export type {
  BuyerToken,
  Granted,
  Item,
  Outcome,
  Problem,
  Refused,
  Reservation,
  Sale,
  SaleToCreate,
} from "./answers.js";
export type { Line, Retry } from "./retry.js";

/** How many of which sku. */
export type Basket = Readonly<Record<string, number>>;

export interface Attempt {
  /** An idempotency key of your own; made where there is none. */
  key?: string;
  /** From the sale's waiting room, where it has one. */
  admission?: string;
}

const PAGE = 500;

export class FlashGuard {
  /** Every call of the contract, typed from its OpenAPI document, with the same keys and retries. */
  readonly api: Client<paths>;

  constructor(url: string, line: Line = {}) {
    if (url !== "" && !/^(https?:\/\/|\/)/.test(url))
      throw new TypeError(`"${url}" is no address. Write all of it, as in http://127.0.0.1:8000.`);
    this.api = createClient<paths>({ baseUrl: url.replace(/\/$/, ""), fetch: retrying(line), pathSerializer });
  }

  /** Sets units aside until `expires_at`. */
  async reserve(sale: string, customer: string, items: Basket, attempt: Attempt = {}): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/reservations", {
      params: { path: { sale }, header: keyed(attempt.key) },
      body: basket(customer, items, attempt),
    });
    return outcomeOf(response, data, error);
  }

  /** Reserves and confirms in one step: granted means committed in PostgreSQL. */
  async buy(sale: string, customer: string, items: Basket, attempt: Attempt = {}): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/orders", {
      params: { path: { sale }, header: keyed(attempt.key) },
      body: basket(customer, items, attempt),
    });
    return outcomeOf(response, data, error);
  }

  /** Turns a hold into an order. With its receipt also one that ended, while its units can be had. */
  async confirm(id: string, receipt?: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/confirm", {
      params: { path: { id } },
      ...(receipt === undefined ? {} : { body: { receipt } }),
    });
    return outcomeOf(response, data, error);
  }

  /** Gives a hold's units back. */
  async release(id: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/release", {
      params: { path: { id } },
    });
    return outcomeOf(response, data, error);
  }

  /** Gives a hold more time. */
  async extend(id: string, key?: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/extend", {
      params: { path: { id }, header: keyed(key) },
    });
    return outcomeOf(response, data, error);
  }

  /** A reservation as it is now. */
  async reservation(id: string): Promise<Reservation> {
    const { response, data, error } = await this.api.GET("/v1/reservations/{id}", { params: { path: { id } } });
    return dataOf(response, data, error);
  }

  /** A sale with its counters of this moment. */
  async sale(sale: string): Promise<Sale> {
    const { response, data, error } = await this.api.GET("/v1/sales/{sale}", { params: { path: { sale } } });
    return dataOf(response, data, error);
  }

  /** Creates a sale as a draft. */
  async createSale(body: SaleToCreate, key?: string): Promise<Sale> {
    const { response, data, error } = await this.api.POST("/v1/sales", { params: { header: keyed(key) }, body });
    return dataOf(response, data, error);
  }

  async openSale(sale: string, key?: string): Promise<Sale> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/open", {
      params: { path: { sale }, header: keyed(key) },
    });
    return dataOf(response, data, error);
  }

  async pauseSale(sale: string, key?: string): Promise<Sale> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/pause", {
      params: { path: { sale }, header: keyed(key) },
    });
    return dataOf(response, data, error);
  }

  async closeSale(sale: string, key?: string): Promise<Sale> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/close", {
      params: { path: { sale }, header: keyed(key) },
    });
    return dataOf(response, data, error);
  }

  /** All orders of a sale, oldest first, page by page. */
  async *orders(sale: string): AsyncGenerator<Reservation> {
    let cursor: string | null | undefined;
    do {
      const query = { limit: PAGE, ...(cursor ? { cursor } : {}) };
      const { response, data, error } = await this.api.GET("/v1/sales/{sale}/orders", {
        params: { path: { sale }, query },
      });
      const page = dataOf(response, data, error);
      yield* page.data;
      cursor = page.next_cursor;
    } while (cursor);
  }

  /** A short-lived token: with it a browser may act as this customer in this sale, and nothing else. */
  async buyerToken(sale: string, customer: string, seconds?: number, key?: string): Promise<BuyerToken> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/buyer-tokens", {
      params: { path: { sale } },
      headers: keyed(key),
      body: { customer, ...(seconds === undefined ? {} : { expires_in_seconds: seconds }) },
    });
    return dataOf(response, data, error);
  }
}

/** Puts each id into the path as one part of it, whatever it holds. */
function pathSerializer(path: string, ids: Record<string, unknown>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const id = String(ids[name] ?? "");
    if (id === "" || id === "." || id === "..") throw new TypeError(`"${id}" can't be an id.`);
    return encodeURIComponent(id);
  });
}

function keyed(key: string | undefined): { "idempotency-key"?: string } {
  return key === undefined ? {} : { "idempotency-key": key };
}

function basket(customer: string, items: Basket, attempt: Attempt) {
  const lines = Object.entries(items).map(([sku, quantity]) => ({ sku, quantity }));
  return { customer, items: lines, ...(attempt.admission === undefined ? {} : { admission: attempt.admission }) };
}
