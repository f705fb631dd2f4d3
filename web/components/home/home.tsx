"use client";

import { ArrowRight } from "lucide-react";
import { useMessages } from "@/lib/language";
import { useSystem } from "@/lib/use-system";
import { Link } from "../link";
import { AdminKey } from "../admin-key";
import { Banner, Pill, type Tone } from "../ui";
import { BuyPath } from "./buy-path";

const WAYS: ["race" | "lock" | "flashguard", Tone][] = [
  ["race", "bad"],
  ["lock", "warn"],
  ["flashguard", "good"],
];

/** What FlashGuard is, and how it is now, in one screen. */
export function Home() {
  const t = useMessages().home;
  const { system, lost, locked } = useSystem();
  return (
    <>
      <div className="grid gap-3">
        <h1 className="!text-2xl sm:!text-3xl">{t.title}</h1>
        <p className="max-w-3xl text-base text-soft">{t.intro}</p>
        <div className="flex flex-wrap gap-2">
          <Link className="btn btn-main" href="/simulator/">
            {t.race}
            <ArrowRight size={14} aria-hidden />
          </Link>
          <Link className="btn" href="/sale/">
            {t.store}
          </Link>
          <Link className="btn" href="/script/">
            {t.script}
          </Link>
        </div>
      </div>
      <Banner connection={lost ? "lost" : "live"} />
      {locked && <AdminKey why={t.why} right="read-system" />}
      <BuyPath system={system} lost={lost} />
      <ul className="grid grid-cols-[minmax(0,1fr)] gap-3 lg:grid-cols-3">
        {WAYS.map(([name, tone]) => (
          <li key={name} className="panel grid content-start gap-2">
            <div className="flex items-center justify-between gap-2">
              <h2>{t.ways[name].title}</h2>
              <Pill tone={tone}>{t.ways[name].verdict}</Pill>
            </div>
            <p className="text-soft">{t.ways[name].text}</p>
          </li>
        ))}
      </ul>
    </>
  );
}
