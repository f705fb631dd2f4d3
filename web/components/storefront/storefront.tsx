"use client";

import Link from "next/link";
import { useQuery } from "@/lib/use-address";
import { useNow } from "@/lib/use-now";
import { useRoom } from "@/lib/use-room";
import { useSale } from "@/lib/use-sale";
import { SALE_TONES, SaleList } from "../sale-list";
import { Banner, Empty, PageHeader, Panel, Pill, Text } from "../ui";
import { Shop } from "./shop";
import { WaitingRoom } from "./waiting-room";

export function Storefront() {
  const id = useQuery("id");
  const { sale, connection, missing, retry } = useSale(id ?? null);
  const room = useRoom(sale);
  const now = useNow();
  if (id === undefined) return null;
  if (!id)
    return (
      <>
        <PageHeader title="Storefront">
          What a buyer sees: live stock, and a button that always shows what is possible now.
        </PageHeader>
        <Panel title="Choose a sale">
          <SaleList to="/sale/" />
        </Panel>
      </>
    );
  return (
    <div className="mx-auto grid w-full max-w-2xl grid-cols-[minmax(0,1fr)] gap-4">
      <PageHeader
        title={sale ? <Text>{sale.name}</Text> : "Sale"}
        aside={
          sale && (
            <Pill tone={SALE_TONES[sale.status]} busy={sale.status === "open"}>
              {sale.status}
            </Pill>
          )
        }
      />
      {!missing && <Banner connection={connection} />}
      {missing ? (
        <Empty title="There is no such sale">
          No sale that buyers can see has the id “<Text>{id}</Text>”.
          <div className="mt-3 flex justify-center gap-2">
            <button className="btn btn-small" onClick={retry}>
              Check again
            </button>
            <Link className="btn btn-small" href="/sale/">
              All sales
            </Link>
          </div>
        </Empty>
      ) : (
        !sale && <Empty title="Loading…" />
      )}
      {sale?.waiting_room && <WaitingRoom sale={sale} room={room} now={now} />}
      {sale && <Shop key={sale.id} sale={sale} connection={connection} room={room} now={now} />}
    </div>
  );
}
