/** The payments of a client: `flashguard.payments`. */
import type { Client } from "openapi-fetch";
import { dataOf, refusedOr, type Payment, type Refused } from "./answers.js";
import type { paths } from "./schema.js";

/** Where the provider sends the buyer afterwards. */
export interface PaymentOptions {
  successUrl?: string;
  cancelUrl?: string;
}

/** Which payments to list: of a sale, in a state, for a hold or an order, with a refund in a state. */
export type PaymentFilter = Omit<NonNullable<paths["/v1/payments"]["get"]["parameters"]["query"]>, "cursor" | "limit">;

/** A payment that the buyer can pay, or why the hold can't be paid. */
export type PaymentBegun = { granted: true; payment: Payment } | Refused;

const PAGE = 500;

export class Payments {
  readonly #api: Client<paths>;

  constructor(api: Client<paths>) {
    this.#api = api;
  }

  /** Return the names of the payment providers. Where there is none, holds are confirmed without a payment. */
  async providers(): Promise<string[]> {
    const { response, data, error } = await this.#api.GET("/v1/payment-providers");
    return dataOf(response, data, error).data.map(({ name }) => name);
  }

  /**
   * Begin the payment of a live hold, or return the one that the buyer can pay already. A hold that is over is refused.
   * Send the buyer to the payment's `url`, or show the form of its `client_secret`.
   */
  async begin(reservation: string, provider: string, options: PaymentOptions = {}): Promise<PaymentBegun> {
    const { successUrl, cancelUrl } = options;
    const { response, data, error } = await this.#api.POST("/v1/reservations/{id}/payment", {
      params: { path: { id: reservation } },
      body: {
        provider,
        ...(successUrl === undefined ? {} : { success_url: successUrl }),
        ...(cancelUrl === undefined ? {} : { cancel_url: cancelUrl }),
      },
    });
    return data === undefined ? refusedOr(response, error) : { granted: true, payment: data };
  }

  /** Return the payments for a hold or an order, the oldest first. */
  async ofReservation(reservation: string): Promise<Payment[]> {
    const { response, data, error } = await this.#api.GET("/v1/reservations/{id}/payments", {
      params: { path: { id: reservation } },
    });
    return dataOf(response, data, error).data;
  }

  /** Return a payment with its refunds. */
  async get(id: string): Promise<Payment> {
    const { response, data, error } = await this.#api.GET("/v1/payments/{id}", { params: { path: { id } } });
    return dataOf(response, data, error);
  }

  /** Return payments, newest first. The client reads them page by page. */
  async *list(which: PaymentFilter = {}): AsyncGenerator<Payment> {
    let cursor: string | null | undefined;
    do {
      const query = { limit: PAGE, ...which, ...(cursor ? { cursor } : {}) };
      const { response, data, error } = await this.#api.GET("/v1/payments", { params: { query } });
      const page = dataOf(response, data, error);
      yield* page.data;
      cursor = page.next_cursor;
    } while (cursor);
  }

  /** Ask the provider now for the refunds that are not done; in place of one that failed for a new one. */
  async retryRefunds(id: string): Promise<Payment> {
    const { response, data, error } = await this.#api.POST("/v1/payments/{id}/refund", { params: { path: { id } } });
    return dataOf(response, data, error);
  }
}
