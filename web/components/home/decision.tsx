"use client";

import { useMessages } from "@/lib/language";
import { useSystem } from "@/lib/use-system";
import { AdminKey } from "../admin-key";
import { Banner, PageHeader } from "../ui";
import { Approaches } from "./approaches";
import { Layers } from "./layers";
import { Script } from "./script";

/** How a unit is sold, step by step, and the script that decides it: in English only, like the script itself. */
export function Decision() {
  const t = useMessages().home;
  const { system, lost, locked } = useSystem();
  return (
    <>
      <div lang="en">
        <PageHeader title="How the last unit is sold">
          Three ways to sell one unit to two buyers, step by step, and the script with which FlashGuard decides.
        </PageHeader>
      </div>
      <Banner connection={lost ? "lost" : "live"} />
      {locked && <AdminKey why={t.whyScript} />}
      <div lang="en" className="grid grid-cols-[minmax(0,1fr)] gap-4">
        <Approaches />
        <Layers system={system} lost={lost} />
        <Script />
      </div>
    </>
  );
}
