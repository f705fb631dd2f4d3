/** Return a value of an address's fragment, as in `/sale/#token=eyJ…`, or an empty string. */
export function fragmentValue(hash: string, name: string): string {
  return new URLSearchParams(hash.replace(/^#/, "")).get(name)?.trim() ?? "";
}

/** Return the admin key of an address such as `/control/#key=fg_admin_…`, or an empty string. */
export const keyInFragment = (hash: string) => fragmentValue(hash, "key");
