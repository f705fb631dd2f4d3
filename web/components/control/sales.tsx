"use client";

import { useState } from "react";
import { useQuery } from "@/lib/use-address";
import { useSale } from "@/lib/use-sale";
import { Create } from "./create";
import type { SectionProps } from "./frame";
import { OneSale } from "./one-sale";
import { SaleTable } from "./sale-table";

/** The sale that the address names, all sales, and the form for a new one. */
export function Sales({ admin, may }: SectionProps) {
  const id = useQuery("id") ?? null;
  const [changes, setChanges] = useState(0);
  const watched = useSale(id, admin);
  const changed = () => setChanges((n) => n + 1);
  return (
    <>
      {id && <OneSale key={id} id={id} admin={admin} may={may} watched={watched} changed={changed} />}
      {/* The list reads its sales at another time: the sale shown above is passed to it, so that both agree. */}
      <SaleTable admin={admin} changes={changes} live={watched.connection === "live" ? watched.sale : null} />
      {may("manage-sales") && <Create admin={admin} done={changed} />}
    </>
  );
}
