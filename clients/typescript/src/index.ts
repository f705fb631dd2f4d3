/** A client of FlashGuard for browsers, with a buyer's token, and for servers, with an API key. */
import createClient, { type Client } from "openapi-fetch";
import { dataOf, outcomeOf, outcomesOf } from "./answers.js";
import type { BuyerToken, Outcome, Reservation, Sale, SaleToCreate } from "./answers.js";
import { newKey, retrying, type ClientOptions } from "./retry.js";
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
export type { ClientOptions, Retry } from "./retry.js";

/** Quantities by SKU. */
export type Basket = Readonly<Record<string, number>>;

/** Options of one `reserve` or `buy`. */
export interface CallOptions {
  /** Your own idempotency key. Without it the client makes one. */
  key?: string;
  /** The admission of the sale's waiting room, if the sale has one. */
  admission?: string;
}

/** What one customer of a batch wants. */
export interface BatchItem extends CallOptions {
  customer: string;
  items: Basket;
}

const PAGE = 500;

/** A client of one FlashGuard service. */
export class FlashGuard {
  /** All calls of the HTTP contract, typed from its OpenAPI document, with the same keys and retries. */
  readonly api: Client<paths>;

  constructor(url: string, options: ClientOptions = {}) {
    if (url !== "" && !/^(https?:\/\/|\/)/.test(url))
      throw new TypeError(`"${url}" is not a URL. Write it in full, as in http://127.0.0.1:8000.`);
    this.api = createClient<paths>({ baseUrl: url.replace(/\/$/, ""), fetch: retrying(options), pathSerializer });
  }

  /** Hold units for a customer until `expires_at`. */
  async reserve(sale: string, customer: string, items: Basket, options: CallOptions = {}): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/reservations", {
      params: { path: { sale }, header: keyed(options.key) },
      body: basket(customer, items, options),
    });
    return outcomeOf(response, data, error);
  }

  /** Reserve and confirm in one step. Granted means committed in PostgreSQL. */
  async buy(sale: string, customer: string, items: Basket, options: CallOptions = {}): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/orders", {
      params: { path: { sale }, header: keyed(options.key) },
      body: basket(customer, items, options),
    });
    return outcomeOf(response, data, error);
  }

  /**
   * Hold units for up to 1,000 customers in one call. The outcomes are in the order of the requests. Every refusal is
   * an outcome here, also `overloaded` or `invalid-request`: send such a request again with the same key.
   */
  async reserveMany(sale: string, requests: readonly BatchItem[]): Promise<Outcome[]> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/reservations:batch", {
      params: { path: { sale } },
      body: { requests: requests.map(keyedBasket) },
    });
    return outcomesOf(response, data, error);
  }

  /** Reserve and confirm in one step for up to 1,000 customers: see `reserveMany`. */
  async buyMany(sale: string, requests: readonly BatchItem[]): Promise<Outcome[]> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/orders:batch", {
      params: { path: { sale } },
      body: { requests: requests.map(keyedBasket) },
    });
    return outcomesOf(response, data, error);
  }

  /** Turn a hold into an order. With its receipt, an expired hold too, while its units are available. */
  async confirm(id: string, receipt?: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/confirm", {
      params: { path: { id } },
      ...(receipt === undefined ? {} : { body: { receipt } }),
    });
    return outcomeOf(response, data, error);
  }

  /** Release a hold: its units can be sold again. */
  async release(id: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/release", {
      params: { path: { id } },
    });
    return outcomeOf(response, data, error);
  }

  /** Extend the time of a hold. */
  async extend(id: string, key?: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/extend", {
      params: { path: { id }, header: keyed(key) },
    });
    return outcomeOf(response, data, error);
  }

  /** Return a reservation in its current state. */
  async reservation(id: string): Promise<Reservation> {
    const { response, data, error } = await this.api.GET("/v1/reservations/{id}", { params: { path: { id } } });
    return dataOf(response, data, error);
  }

  /** Return a sale with its current counters. */
  async sale(sale: string): Promise<Sale> {
    const { response, data, error } = await this.api.GET("/v1/sales/{sale}", { params: { path: { sale } } });
    return dataOf(response, data, error);
  }

  /** Create a sale as a draft. */
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

  /** Return all orders of a sale, oldest first. The client reads them page by page. */
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

  /** Issue a short-lived token. It lets a browser act as this customer in this sale, and nothing else. */
  async buyerToken(sale: string, customer: string, seconds?: number, key?: string): Promise<BuyerToken> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/buyer-tokens", {
      params: { path: { sale } },
      headers: keyed(key),
      body: { customer, ...(seconds === undefined ? {} : { expires_in_seconds: seconds }) },
    });
    return dataOf(response, data, error);
  }
}

/** Put ids into a path. Each id stays one segment of the path, whatever it contains. */
function pathSerializer(path: string, ids: Record<string, unknown>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const id = String(ids[name] ?? "");
    if (id === "" || id === "." || id === "..") throw new TypeError(`"${id}" cannot be an id.`);
    return encodeURIComponent(id);
  });
}

function keyed(key: string | undefined): { "idempotency-key"?: string } {
  return key === undefined ? {} : { "idempotency-key": key };
}

function keyedBasket(one: BatchItem) {
  return { key: one.key ?? newKey(), ...basket(one.customer, one.items, one) };
}

function basket(customer: string, items: Basket, options: CallOptions) {
  const lines = Object.entries(items).map(([sku, quantity]) => ({ sku, quantity }));
  return { customer, items: lines, ...(options.admission === undefined ? {} : { admission: options.admission }) };
}
