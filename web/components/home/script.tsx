"use client";

import { useEffect, useState } from "react";
import { api, bearer } from "@/lib/api/client";
import { count } from "@/lib/format";
import { useAdminKey } from "@/lib/key-store";
import { blocksOf, tokensOf, type Block } from "@/lib/lua";
import { Curl } from "../curl";
import { Empty, Panel } from "../ui";

const COLUMNS = "grid grid-cols-[minmax(0,1fr)] lg:grid-cols-[minmax(0,1fr)_20rem]";
const COLORS = { comment: "text-soft italic", string: "text-good", keyword: "text-info", plain: "" };

/** The source of reserve_stock.lua, read from the running service, with each rule beside its lines. */
export function Script() {
  const key = useAdminKey();
  const [script, setScript] = useState<{ sha: string; source: string } | null>(null);
  useEffect(() => {
    let cancelled = false;
    void api
      .GET("/v1/kernel/scripts/{name}", {
        params: { path: { name: "reserve_stock" } },
        headers: key ? bearer(key) : undefined,
      })
      .then(
        ({ data }) => {
          if (data && !cancelled) setScript(data);
        },
        () => {},
      );
    return () => {
      cancelled = true;
    };
  }, [key]);
  return (
    <Panel
      title="reserve_stock.lua, as the kernel runs it"
      aside={script && <span className="font-mono text-xs text-soft">sha {script.sha.slice(0, 12)}</span>}
    >
      {!script ? (
        <Empty title="Not loaded yet">
          The script is read from the running service. Reload the page when FlashGuard answers.
        </Empty>
      ) : (
        <div className="overflow-hidden rounded-md border border-line">
          {blocksOf(script.source).map((block) => (
            <RuleRow key={block.from} block={block} />
          ))}
        </div>
      )}
      <Curl path="/v1/kernel/scripts/reserve_stock" />
    </Panel>
  );
}

function RuleRow({ block }: { block: Block }) {
  const { rule, lines, from } = block;
  return (
    <div className={`${COLUMNS} border-b border-line last:border-b-0`}>
      {rule?.library ? (
        <details className="min-w-0 bg-page">
          <summary className="cursor-pointer px-3 py-2 text-xs text-soft hover:text-ink">
            Lines {count(from)} to {count(from + lines.length - 1)}: show them
          </summary>
          <Code lines={lines} from={from} label={rule.title} />
        </details>
      ) : (
        <Code lines={lines} from={from} label={rule?.title ?? "reserve_stock.lua"} />
      )}
      <div className="order-first border-line bg-panel px-4 py-3 max-lg:border-b lg:order-none lg:border-l">
        {rule && (
          <>
            <h3 className="font-semibold">{rule.title}</h3>
            <p className="mt-0.5 text-soft">{rule.text}</p>
          </>
        )}
      </div>
    </div>
  );
}

function Code({ lines, from, label }: { lines: string[]; from: number; label: string }) {
  return (
    <pre
      className="min-w-0 overflow-x-auto bg-page py-2 leading-5"
      tabIndex={0}
      role="region"
      aria-label={`Lines from ${from}: ${label}`}
    >
      {lines.map((line, at) => (
        <span key={at} className="block pr-4">
          <span aria-hidden className="mr-3 inline-block w-10 text-right text-soft select-none">
            {from + at}
          </span>
          {tokensOf(line).map((token, index) => (
            <span key={index} className={COLORS[token.kind]}>
              {token.text}
            </span>
          ))}
        </span>
      ))}
    </pre>
  );
}
