import type { Right } from "./api/client";

/** The sections of the control room: the address of each, and the rights of which a key needs one. */
export const SECTIONS = [
  ["/control/", "sales", ["read-sales"]],
  ["/control/import/", "import", ["manage-sales"]],
  ["/control/webhooks/", "webhooks", ["manage-webhooks"]],
  ["/control/keys/", "keys", ["manage-keys", "mint-tokens"]],
  ["/control/payments/", "payments", ["read-orders"]],
  ["/control/log/", "log", ["read-admin-log"]],
  ["/control/health/", "health", ["read-system"]],
] as const satisfies readonly (readonly [string, string, readonly Right[]])[];

export type Section = (typeof SECTIONS)[number][1];
