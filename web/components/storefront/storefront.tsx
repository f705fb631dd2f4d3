"use client";

import { useMessages } from "@/lib/language";
import { useQuery } from "@/lib/use-address";
import { useNow } from "@/lib/use-now";
import { useRoom } from "@/lib/use-room";
import { useSale } from "@/lib/use-sale";
import { Link } from "../link";
import { SALE_TONES, SaleList } from "../sale-list";
import { Banner, Empty, PageHeader, Panel, Pill, Text } from "../ui";
import { Shop } from "./shop";
import { WaitingRoom } from "./waiting-room";

export function Storefront() {
  const { store: t, sales, common, pages } = useMessages();
  const id = useQuery("id");
  const { sale, connection, missing, retry } = useSale(id ?? null);
  const room = useRoom(sale);
  const now = useNow();
  if (id === undefined) return null;
  if (!id)
    return (
      <>
        <PageHeader title={pages.storefront}>{t.intro}</PageHeader>
        <Panel title={t.choose}>
          <SaleList to="/sale/" />
        </Panel>
      </>
    );
  return (
    <div className="mx-auto grid w-full max-w-2xl grid-cols-[minmax(0,1fr)] gap-4">
      <PageHeader
        title={sale ? <Text>{sale.name}</Text> : sales.sale}
        aside={
          sale && (
            <Pill tone={SALE_TONES[sale.status]} busy={sale.status === "open"}>
              {sales.statuses[sale.status]}
            </Pill>
          )
        }
      />
      {!missing && <Banner connection={connection} />}
      {missing ? (
        <Empty title={t.missing}>
          {t.missingId(<Text>{id}</Text>)}
          <div className="mt-3 flex justify-center gap-2">
            <button className="btn btn-small" onClick={retry}>
              {common.checkAgain}
            </button>
            <Link className="btn btn-small" href="/sale/">
              {t.allSales}
            </Link>
          </div>
        </Empty>
      ) : (
        !sale && <Empty title={common.loading} />
      )}
      {sale?.waiting_room && <WaitingRoom sale={sale} room={room} now={now} />}
      {sale && <Shop key={sale.id} sale={sale} connection={connection} room={room} now={now} />}
    </div>
  );
}
