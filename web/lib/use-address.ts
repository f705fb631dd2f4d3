import { useRouter } from "next/router";
import { useSyncExternalStore } from "react";

const never = () => () => {};

/** Return whether the page runs in a browser: false for the export, and until the browser took it over. */
export const useHydrated = () =>
  useSyncExternalStore(
    never,
    () => true,
    () => false,
  );

/** Return a value of the page's query: null if it has none, undefined until the exported page knows its address. */
export function useQuery(name: string): string | null | undefined {
  const { isReady, query } = useRouter();
  const hydrated = useHydrated();
  if (!isReady || !hydrated) return undefined;
  const value = query[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}
