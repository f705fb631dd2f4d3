"use client";

import { useSystem } from "@/lib/use-system";
import { AdminKey } from "../admin-key";
import { Banner, PageHeader } from "../ui";
import { Approaches } from "./approaches";
import { Layers } from "./layers";
import { Script } from "./script";

/** How a unit is sold, step by step, and the script that decides it. In English only, like the script itself. */
export function Decision() {
  const { system, lost, locked } = useSystem();
  return (
    <div lang="en" className="grid grid-cols-[minmax(0,1fr)] gap-4">
      <PageHeader title="How the last unit is sold">
        Three ways to sell one unit to two buyers, step by step, and the script with which FlashGuard decides.
      </PageHeader>
      <Banner connection={lost ? "lost" : "live"} />
      {locked && <AdminKey why="In production you need a key to read the kernel’s scripts." />}
      <Approaches />
      <Layers system={system} lost={lost} />
      <Script />
    </div>
  );
}
