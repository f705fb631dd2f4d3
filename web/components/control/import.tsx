"use client";

import { useState } from "react";
import { FileUp } from "lucide-react";
import { api, bearer, type Problem } from "@/lib/api/client";
import { count } from "@/lib/format";
import { useAction } from "@/lib/use-action";
import { Link } from "../link";
import { ActionMessage, Panel, Scroll, Text } from "../ui";
import type { SectionProps } from "./frame";
import { useTexts } from "./texts";

type Found = { id: string; items: number }[];
type Wrong = { where: string; what: string }[];

/** The columns of a CSV file, as an example to start from. */
const EXAMPLE = `sale,sale_name,sku,name,price_minor,currency,stock
spring,Spring sale,red-42,Red 42,4999,EUR,100
spring,,red-43,Red 43,4999,EUR,50
`;

/** The form that checks a file of sales, and then imports it: all of it, or nothing. */
export function Import({ admin }: SectionProps) {
  const t = useTexts().import;
  const { busy, result, act } = useAction();
  const [text, setText] = useState("");
  const [checked, setChecked] = useState<{ text: string; sales: Found } | null>(null);
  const [wrong, setWrong] = useState<Wrong>([]);
  const good = checked?.text === text ? checked.sales : null;

  function send(dry_run: boolean) {
    const kind = /^\s*[[{]/.test(text) ? "application/json" : "text/csv";
    setWrong([]);
    void act({
      name: dry_run ? "check-import" : "import",
      content: text,
      call: ({ headers, signal }) =>
        api.POST("/v1/imports", {
          params: { query: { dry_run } },
          headers: { ...bearer(admin), ...(!dry_run && headers), "content-type": kind },
          signal,
          body: text as never, // the file as it is, not JSON of it
          bodySerializer: String,
        }),
      done: ({ sales }) => {
        setChecked({ text, sales });
        if (dry_run) return t.good(sales.length, count(sales.length));
        setText("");
        return t.imported(sales.length, count(sales.length));
      },
      refused: (problem) => {
        setChecked(null);
        setWrong(((problem as (Problem & { errors?: Wrong }) | undefined)?.errors ?? []).slice(0, 100));
      },
    });
  }

  return (
    <Panel title={t.title}>
      <form
        className="grid gap-3"
        onSubmit={(event) => {
          event.preventDefault();
          send(good === null);
        }}
      >
        <label className="label">
          <span>{t.file}</span>
          <input
            className="field"
            type="file"
            accept=".csv,.json,text/csv,application/json"
            onChange={(event) => {
              const input = event.currentTarget;
              void input.files?.[0]?.text().then((read) => {
                setText(read);
                input.value = ""; // the same file can be chosen again after a correction
              });
            }}
          />
        </label>
        <label className="label">
          <span>{t.text}</span>
          <textarea
            className="field min-h-48 font-mono text-xs"
            spellCheck={false}
            required
            placeholder={EXAMPLE}
            value={text}
            onChange={(event) => setText(event.target.value)}
          />
          <small>{t.columns}</small>
        </label>
        <div className="flex flex-wrap gap-2">
          <button className={good ? "btn btn-main" : "btn"} disabled={busy || !text.trim()}>
            <FileUp size={13} aria-hidden />
            {good ? t.importIt(good.length, count(good.length)) : t.check}
          </button>
          <button type="button" className="btn" disabled={busy || text !== ""} onClick={() => setText(EXAMPLE)}>
            {t.example}
          </button>
        </div>
      </form>
      <ActionMessage result={result} />
      {wrong.length > 0 && (
        <Scroll label={t.errors} className="mt-3">
          <table className="table">
            <thead>
              <tr>
                <th>{t.where}</th>
                <th>{t.what}</th>
              </tr>
            </thead>
            <tbody lang="en">
              {wrong.map(({ where, what }, at) => (
                <tr key={at}>
                  <td>
                    <Text>{where}</Text>
                  </td>
                  <td>
                    <Text>{what}</Text>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </Scroll>
      )}
      {checked && (good || text === "") && (
        <ul aria-label={t.found} className="mt-3 grid gap-1">
          {checked.sales.map((sale) => (
            <li key={sale.id}>
              {text === "" ? (
                <Link className="link" href={`/control/?id=${sale.id}`}>
                  {sale.id}
                </Link>
              ) : (
                <code>{sale.id}</code>
              )}
              <span className="text-soft">, {t.items(sale.items, count(sale.items))}</span>
            </li>
          ))}
        </ul>
      )}
    </Panel>
  );
}
