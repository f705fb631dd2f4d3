/** A value in an address's fragment, as in `/sale/#token=eyJ…`; empty where there is none. */
export function fragmentValue(hash: string, name: string): string {
  return new URLSearchParams(hash.replace(/^#/, "")).get(name)?.trim() ?? "";
}

/** The admin key in an address such as `/control/#key=fg_admin_…`; empty where there is none. */
export const keyInFragment = (hash: string) => fragmentValue(hash, "key");
