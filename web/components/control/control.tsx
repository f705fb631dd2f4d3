"use client";

import { useState } from "react";
import { useAdminKey } from "@/lib/key-store";
import { useQuery } from "@/lib/use-address";
import { useSale } from "@/lib/use-sale";
import { AdminKey, ForgetKey } from "../admin-key";
import { PageHeader, Panel } from "../ui";
import { SaleList } from "../sale-list";
import { Create } from "./create";
import { OneSale } from "./one-sale";

export function Control() {
  const id = useQuery("id") ?? null;
  const key = useAdminKey();
  const [changes, setChanges] = useState(0);
  const watched = useSale(key ? id : null, key);
  const changed = () => setChanges((n) => n + 1);
  return (
    <>
      <PageHeader title="Control room" aside={key && <ForgetKey />}>
        Create a sale, open it and watch it sell: stock, orders, and an audit of memory against the ledger.
      </PageHeader>
      {!key && <AdminKey why="You need the admin key to create, change and inspect sales." />}
      {id && key && <OneSale key={id} id={id} admin={key} watched={watched} changed={changed} />}
      {/* The list reads its sales at another time: the sale shown above is passed to it, so that both agree. */}
      <Panel title="Sales">
        <SaleList
          to="/control/"
          changed={changes}
          admin={key}
          live={watched.connection === "live" ? watched.sale : null}
        />
      </Panel>
      {key && <Create admin={key} done={changed} />}
    </>
  );
}
