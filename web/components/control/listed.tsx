"use client";

import type { ReactNode } from "react";
import { RotateCw } from "lucide-react";
import type { Pages } from "@/lib/use-read";
import { useMessages } from "@/lib/language";
import { Scroll } from "../ui";
import { useTexts } from "./texts";

/** A list as a table: its error, what stands in place of no rows, and the button for the next page. */
export function Listed<T>({
  pages: { rows, older, error },
  label,
  columns,
  empty,
  children,
}: {
  pages: Pages<T>;
  label: string;
  columns: readonly ReactNode[];
  empty: ReactNode;
  children: (row: T) => ReactNode;
}) {
  const { common } = useMessages();
  const t = useTexts().lists;
  return (
    <>
      {error && (
        <p role="alert" className="mb-2 text-bad">
          <span lang="en">{error}</span> {rows?.length ? t.stale : ""}
        </p>
      )}
      {!rows ? (
        !error && <p className="text-soft">{common.loading}</p>
      ) : !rows.length ? (
        empty
      ) : (
        <Scroll label={label} className={error ? "stale" : ""}>
          <table className="table">
            <thead>
              <tr>
                {columns.map((name, at) => (
                  <th key={at}>{name}</th>
                ))}
              </tr>
            </thead>
            <tbody>{rows.map(children)}</tbody>
          </table>
        </Scroll>
      )}
      {older && (
        <button type="button" className="btn btn-small mt-3" onClick={older}>
          {t.older}
        </button>
      )}
    </>
  );
}

/** Reads a list again. */
export function Again({ again }: { again: () => void }) {
  const t = useTexts().lists;
  return (
    <button type="button" className="btn btn-small" onClick={again}>
      <RotateCw size={13} aria-hidden />
      {t.again}
    </button>
  );
}
