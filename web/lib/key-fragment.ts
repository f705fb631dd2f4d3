/** The admin key in an address such as `/control/#key=fg_admin_…`; empty where there is none. */
export function keyInFragment(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, "")).get("key")?.trim() ?? "";
}
