/** A client of FlashGuard for browsers, with a buyer's token, and for servers, with an API key. */
import createClient, { type Client } from "openapi-fetch";
import { dataOf, deletedOr, doneOr, isProblem, outcomeOf, outcomesOf } from "./answers.js";
import type {
  BuyerToken,
  FactPage,
  Item,
  ItemChanges,
  ItemToAdd,
  Order,
  Outcome,
  Place,
  Pool,
  Reservation,
  Sale,
  SaleChanges,
  SaleToCreate,
} from "./answers.js";
import { Payments } from "./payments.js";
import type { Challenge, Solver } from "./proof.js";
import { newKey, retrying, type ClientOptions } from "./retry.js";
import type { paths } from "./schema.js";

export { NoAnswer, ProblemError } from "./answers.js";
export type {
  BuyerToken,
  Fact,
  FactPage,
  Granted,
  Item,
  ItemChanges,
  ItemToAdd,
  Order,
  Outcome,
  Payment,
  Place,
  Pool,
  Problem,
  Refused,
  Reservation,
  Sale,
  SaleChanges,
  SaleToCreate,
} from "./answers.js";
export type { PaymentBegun, PaymentFilter, PaymentOptions, Payments } from "./payments.js";
export { solveWith } from "./proof.js";
export type { Challenge, Solver } from "./proof.js";
export type { ClientOptions, Retry } from "./retry.js";

/** Quantities by SKU. */
export type Basket = Readonly<Record<string, number>>;

/** Options of one `reserve` or `buy`. */
export interface CallOptions {
  /** Your own idempotency key. Without it the client makes one. */
  key?: string;
  /** The admission of the sale's waiting room, if the sale has one. */
  admission?: string;
  /** The shop's own name of it, to find it by. */
  reference?: string;
  /** The shop's own texts, by name. */
  metadata?: Record<string, string>;
  /** Where items must be taken, for example because they are picked up there: a location by SKU. */
  locations?: Readonly<Record<string, string>>;
  /** What the sale's limits by identity count by, by name. */
  identities?: Record<string, string>;
}

/** Options of one `amend`. */
export interface AmendOptions {
  /** Your own idempotency key. Without it the client makes one. */
  key?: string;
  /** Whether units that an order has fewer go on sale again (they do unless this is false). */
  restock?: boolean;
  reason?: string;
  /** Where items must be taken: a location by SKU. */
  locations?: Readonly<Record<string, string>>;
}

/** Options of one `cancel`. */
export interface CancelOptions {
  /** Your own idempotency key. Without it the client makes one. */
  key?: string;
  /** Cancel only these. */
  items?: Basket;
  reason?: string;
}

/** What one customer of a batch wants. */
export interface BatchItem extends CallOptions {
  customer: string;
  items: Basket;
}

/** Which reservations to list. */
export interface ReservationFilter {
  customer?: string;
  status?: Reservation["status"];
  reference?: string;
}

const PAGE = 500;
/** The most seconds that one request waits for a fact. */
const MOST_WAIT_SECONDS = 30;

/** A client of one FlashGuard service. */
export class FlashGuard {
  /** All calls of the HTTP contract, typed from its OpenAPI document, with the same keys and retries. */
  readonly api: Client<paths>;
  /** Payments for holds: begin one, read and list them, retry refunds. */
  readonly payments: Payments;
  readonly #mostWaitSeconds: number;

  constructor(url: string, options: ClientOptions = {}) {
    if (url !== "" && !/^(https?:\/\/|\/)/.test(url))
      throw new TypeError(`"${url}" is not a URL. Write it in full, as in http://127.0.0.1:8000.`);
    this.#mostWaitSeconds = Math.min(MOST_WAIT_SECONDS, (options.timeoutSeconds ?? 10) / 2);
    this.api = createClient<paths>({ baseUrl: url.replace(/\/$/, ""), fetch: retrying(options), pathSerializer });
    this.payments = new Payments(this.api);
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

  /** Replace the basket of a hold or of an order. Only the shop's keys may amend an order. */
  async amend(id: string, items: Basket, options: AmendOptions = {}): Promise<Outcome> {
    const { key, locations, ...more } = options;
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/amend", {
      params: { path: { id }, header: keyed(key) },
      body: { items: linesOf(items, locations), ...more },
    });
    return outcomeOf(response, data, error);
  }

  /** Give a hold to another customer. */
  async transfer(id: string, customer: string, key?: string): Promise<Outcome> {
    const { response, data, error } = await this.api.POST("/v1/reservations/{id}/transfer", {
      params: { path: { id }, header: keyed(key) },
      body: { customer },
    });
    return outcomeOf(response, data, error);
  }

  /** Cancel an order, or with `items` a part of it. `restock`: whether its units go on sale again. */
  async cancel(id: string, restock: boolean, options: CancelOptions = {}): Promise<Outcome> {
    const { key, items, ...more } = options;
    const { response, data, error } = await this.api.POST("/v1/orders/{id}/cancel", {
      params: { path: { id }, header: keyed(key) },
      body: { restock, ...more, ...(items === undefined ? {} : { items: linesOf(items) }) },
    });
    return outcomeOf(response, data, error);
  }

  /** Return a reservation in its current state. */
  async reservation(id: string): Promise<Reservation> {
    const { response, data, error } = await this.api.GET("/v1/reservations/{id}", { params: { path: { id } } });
    return dataOf(response, data, error);
  }

  /**
   * Take a place in the sale's waiting room, or return the one that this customer has. A room that demands a proof of
   * work needs `solve`: on Node that of `@flashguard/client/node`, in browsers `solveWith(…)`.
   */
  async ticket(sale: string, customer: string, options: { ticket?: string; solve?: Solver } = {}): Promise<Place> {
    const { ticket, solve } = options;
    const path = { params: { path: { sale } } };
    const body = { customer, ...(ticket === undefined ? {} : { ticket }) };
    let answer = await this.api.POST("/v1/sales/{sale}/tickets", { ...path, body });
    if (solve && isProblem(answer.error) && answer.error.code === "proof-required") {
      const { response, data, error } = await this.api.GET("/v1/sales/{sale}/challenge", {
        params: { ...path.params, query: { customer } },
      });
      const proof = await solve(dataOf(response, data, error) as unknown as Challenge);
      answer = await this.api.POST("/v1/sales/{sale}/tickets", { ...path, body: { ...body, proof } });
    }
    return dataOf(answer.response, answer.data, answer.error);
  }

  /** Return where a ticket stands. Once admitted, its `admission` is what `reserve` and `buy` need. */
  async place(sale: string, ticket: string): Promise<Place> {
    const { response, data, error } = await this.api.GET("/v1/sales/{sale}/tickets/{ticket}", {
      params: { path: { sale, ticket } },
    });
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

  /** Change a sale's name, times or rules; its `items`, all of them, only while it is a draft. */
  async changeSale(sale: string, changes: SaleChanges): Promise<Sale> {
    const { response, data, error } = await this.api.PATCH("/v1/sales/{sale}", {
      params: { path: { sale } },
      body: changes,
    });
    return dataOf(response, data, error);
  }

  /** Delete a draft. Its id can be used again. One that is gone already is no error. */
  async deleteSale(sale: string): Promise<void> {
    const { response, error } = await this.api.DELETE("/v1/sales/{sale}", { params: { path: { sale } } });
    deletedOr(response, error);
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

  /** Add an item to a sale that is not closed. Return the item. */
  async addItem(sale: string, item: ItemToAdd, key?: string): Promise<Item> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/items", {
      params: { path: { sale }, header: keyed(key) },
      body: item,
    });
    return dataOf(response, data, error);
  }

  /** Change an item's name, price or limit, or take it off sale (no new holds). Return the item after the change. */
  async changeItem(sale: string, sku: string, changes: ItemChanges, key?: string): Promise<Item> {
    const { response, data, error } = await this.api.PATCH("/v1/sales/{sale}/items/{sku}", {
      params: { path: { sale, sku }, header: keyed(key) },
      body: changes,
    });
    return dataOf(response, data, error);
  }

  /** Remove an item of which nothing was ever held or sold. */
  async removeItem(sale: string, sku: string, key?: string): Promise<void> {
    const { response, error } = await this.api.DELETE("/v1/sales/{sale}/items/{sku}", {
      params: { path: { sale, sku }, header: keyed(key) },
    });
    doneOr(response, error);
  }

  /**
   * Add `delta` units to an item's stock, or set it to `stock`: the units that were counted, with those held and sold.
   * `location`: where, of an item that has its stock at locations. Return the item after the change.
   */
  async restock(
    sale: string,
    sku: string,
    change: ({ delta: number } | { stock: number }) & { location?: string },
    reason: string,
    key?: string,
  ): Promise<Item> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/items/{sku}/restock", {
      params: { path: { sale, sku }, header: keyed(key) },
      body: { ...change, reason },
    });
    return dataOf(response, data, error);
  }

  /** Change a pool's stock, as `restock` changes an item's. Return the pool after the change. */
  async restockPool(
    sale: string,
    pool: string,
    change: { delta: number } | { stock: number },
    reason: string,
    key?: string,
  ): Promise<Pool> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/pools/{pool}/restock", {
      params: { path: { sale, pool }, header: keyed(key) },
      body: { ...change, reason },
    });
    return dataOf(response, data, error);
  }

  /** Return the orders of a sale, all or those of a reference, oldest first. The client reads them page by page. */
  async *orders(sale: string, which: { reference?: string } = {}): AsyncGenerator<Order> {
    let cursor: string | null | undefined;
    do {
      const query = { limit: PAGE, ...which, ...(cursor ? { cursor } : {}) };
      const { response, data, error } = await this.api.GET("/v1/sales/{sale}/orders", {
        params: { path: { sale }, query },
      });
      const page = dataOf(response, data, error);
      yield* page.data;
      cursor = page.next_cursor;
    } while (cursor);
  }

  /**
   * Return the feed of facts page by page, also pages without facts. Each has the cursor of what follows: keep
   * `next_cursor` once the facts of the page are dealt with, and give it as `after` when you start again. `after: "now"`
   * skips what happened before; without `after` the feed begins with the oldest fact that is kept. With `waitSeconds` (at
   * most half of `timeoutSeconds`) each request waits for a fact, and the pages go on for ever; without it, they end
   * where the feed ends. A `ProblemError` with the code `cursor-expired`: facts after the cursor are gone.
   */
  async *facts(after?: string, options: { waitSeconds?: number } = {}): AsyncGenerator<FactPage> {
    const wait = Math.max(0, Math.min(options.waitSeconds ?? 0, this.#mostWaitSeconds));
    for (let cursor = after; ;) {
      const query = { limit: PAGE, wait, ...(cursor === undefined ? {} : { after: cursor }) };
      const { response, data, error } = await this.api.GET("/v1/facts", { params: { query } });
      const page = dataOf(response, data, error);
      yield page;
      if (page.next_cursor === cursor && wait === 0) return;
      cursor = page.next_cursor;
    }
  }

  /** Return an order, confirmed or cancelled. */
  async order(id: string): Promise<Reservation> {
    const { response, data, error } = await this.api.GET("/v1/orders/{id}", { params: { path: { id } } });
    return dataOf(response, data, error);
  }

  /** Return a sale's holds, orders and ended holds, by their ids: all that was answered before the call. */
  async *reservations(sale: string, which: ReservationFilter = {}): AsyncGenerator<Reservation> {
    let cursor: string | null | undefined;
    do {
      const query = { limit: PAGE, ...which, ...(cursor ? { cursor } : {}) };
      const { response, data, error } = await this.api.GET("/v1/sales/{sale}/reservations", {
        params: { path: { sale }, query },
      });
      const page = dataOf(response, data, error);
      yield* page.data;
      cursor = page.next_cursor;
    } while (cursor);
  }

  /**
   * Return the customer's live holds, newest first: what to offer a buyer who is refused with `sold-out` and lost the id
   * of a hold. A buyer's token may ask for its own.
   */
  async held(sale: string, customer: string): Promise<Reservation[]> {
    const holds: Reservation[] = [];
    for await (const hold of this.reservations(sale, { customer, status: "held" })) holds.push(hold);
    return holds.sort((one, other) => Date.parse(other.created_at) - Date.parse(one.created_at));
  }

  /** Issue a short-lived token. It lets a browser act as this customer in this sale, and nothing else. */
  async buyerToken(
    sale: string,
    customer: string,
    seconds?: number,
    key?: string,
    identities?: Record<string, string>,
  ): Promise<BuyerToken> {
    const { response, data, error } = await this.api.POST("/v1/sales/{sale}/buyer-tokens", {
      params: { path: { sale } },
      headers: keyed(key),
      body: {
        customer,
        ...(seconds === undefined ? {} : { expires_in_seconds: seconds }),
        ...(identities === undefined ? {} : { identities }),
      },
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

function linesOf(items: Basket, locations: Readonly<Record<string, string>> = {}) {
  return Object.entries(items).map(([sku, quantity]) => {
    const location = locations[sku];
    return location === undefined ? { sku, quantity } : { sku, quantity, location };
  });
}

function basket(customer: string, items: Basket, options: CallOptions) {
  const { admission, reference, metadata, identities, locations } = options;
  return {
    customer,
    items: linesOf(items, locations),
    ...(admission === undefined ? {} : { admission }),
    ...(reference === undefined ? {} : { reference }),
    ...(metadata === undefined ? {} : { metadata }),
    ...(identities === undefined ? {} : { identities }),
  };
}
