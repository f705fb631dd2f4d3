"use client";

import { useRouter } from "next/router";
import { useState } from "react";
import { api, bearer, exact, type Sale } from "@/lib/api/client";
import { count } from "@/lib/format";
import { useMessages } from "@/lib/language";
import { unitsIn } from "@/lib/stock";
import { usePages } from "@/lib/use-read";
import { Link } from "../link";
import { SALE_TONES } from "../sale-list";
import { Empty, Panel, Pill, Text } from "../ui";
import { Listed } from "./listed";
import { useTexts } from "./texts";

const EVERY_MS = 3_000;

/** All sales, the newest first, page by page. `live`: the sale that the page follows, whose figures are newer. */
export function SaleTable({ admin, changes, live }: { admin: string; changes: number; live: Sale | null }) {
  const { sales: words } = useMessages();
  const t = useTexts().sales;
  const router = useRouter();
  const [search, setSearch] = useState("");
  const pages = usePages(
    `${admin} ${changes}`,
    async (cursor, signal) => {
      const query = { limit: 50, ...(cursor && { cursor }) };
      const answer = await api.GET("/v1/sales", { params: { query }, headers: bearer(admin), signal });
      return { ...answer, data: answer.data && { ...answer.data, data: exact<Sale[]>(answer.data.data) } };
    },
    EVERY_MS,
  );
  const wanted = search.trim().toLowerCase();
  const rows = pages.rows
    ?.map((sale) => (sale.id === live?.id ? live : sale))
    .filter((sale) => `${sale.name} ${sale.id} ${words.statuses[sale.status]}`.toLowerCase().includes(wanted));
  return (
    <Panel
      title={words.list}
      aside={
        <form
          role="search"
          className="flex flex-wrap items-center gap-2"
          onSubmit={(event) => {
            event.preventDefault();
            const [only] = rows?.length === 1 ? rows : [];
            const id = only?.id ?? search.trim();
            if (id) void router.push(`/control/?id=${encodeURIComponent(id)}`);
          }}
        >
          <input
            className="field !min-h-8 !w-56"
            aria-label={t.search}
            placeholder={t.search}
            value={search}
            onChange={(event) => setSearch(event.target.value)}
          />
          <button className="btn btn-small" disabled={!wanted}>
            {t.openIt}
          </button>
        </form>
      }
    >
      <Listed
        pages={{ ...pages, rows: rows ?? null }}
        label={words.list}
        columns={[
          words.sale,
          words.status,
          <span key="available" className="block text-right">
            {words.available}
          </span>,
          <span key="sold" className="block text-right">
            {words.sold}
          </span>,
        ]}
        empty={<Empty title={wanted ? t.noMatch : words.none}>{wanted ? t.orById : t.createBelow}</Empty>}
      >
        {(sale) => (
          <tr key={sale.id}>
            <td>
              <Link className="link font-medium" href={`/control/?id=${sale.id}`}>
                <Text>{sale.name}</Text>
              </Link>
            </td>
            <td>
              <Pill tone={SALE_TONES[sale.status]}>{words.statuses[sale.status]}</Pill>
            </td>
            <td className="num">{count(unitsIn(sale, "available"))}</td>
            <td className="num">{count(unitsIn(sale, "sold"))}</td>
          </tr>
        )}
      </Listed>
    </Panel>
  );
}
