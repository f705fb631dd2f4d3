"use client";

import Link from "next/link";
import { ArrowRight } from "lucide-react";
import { useSystem } from "@/lib/use-system";
import { AdminKey } from "../admin-key";
import { Banner } from "../ui";
import { Approaches } from "./approaches";
import { BuyPath } from "./buy-path";
import { Layers } from "./layers";
import { Script } from "./script";

export function Home() {
  const { system, lost, locked } = useSystem();
  return (
    <>
      <div className="grid gap-3 py-2 lg:py-4">
        <h1 className="!text-2xl sm:!text-3xl">One unit, ten thousand buyers, no overselling</h1>
        <p className="max-w-2xl text-base text-soft">
          An inventory engine for the moment when all buyers press Buy. The kernel decides in memory in one atomic step,
          a journal records each decision, and the answer is “confirmed” only after the commit in PostgreSQL.
        </p>
        <div className="flex flex-wrap gap-2">
          <Link className="btn btn-main" href="/simulator/">
            Run the race yourself
            <ArrowRight size={14} aria-hidden />
          </Link>
          <Link className="btn" href="/sale/">
            Buy in the storefront
          </Link>
        </div>
      </div>
      <Banner connection={lost ? "lost" : "live"} />
      {locked && (
        <AdminKey why="In production you need a key to see the state of the components and the kernel’s scripts." />
      )}
      <Approaches />
      <BuyPath system={system} lost={lost} />
      <Layers system={system} lost={lost} />
      <Script />
    </>
  );
}
