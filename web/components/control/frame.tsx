"use client";

import type { ComponentType } from "react";
import { useRouter } from "next/router";
import type { Right } from "@/lib/api/client";
import { useAdminKey } from "@/lib/key-store";
import { useMessages } from "@/lib/language";
import { SECTIONS, type Section } from "@/lib/sections";
import { useCaller } from "@/lib/use-caller";
import { AdminKey, ForgetKey } from "../admin-key";
import { Link } from "../link";
import { PageHeader } from "../ui";

/** What a section gets: the key of this tab, its id, and what it may do. */
export type SectionProps = { admin: string; own: string | null; may: (right: Right) => boolean };

/** A section of the control room: its title, the way to the others, and its content once a key is there. */
export function Frame({ section, Content }: { section: Section; Content: ComponentType<SectionProps> }) {
  const { control: t, common, pages } = useMessages();
  const key = useAdminKey();
  const caller = useCaller(key);
  const rights: readonly Right[] = caller?.rights ?? [];
  const allowed = SECTIONS.filter(([, , needed]) => needed.some((right) => rights.includes(right)));
  const path = useRouter().pathname.replace(/\/?$/, "/");
  return (
    <>
      <PageHeader title={section === "sales" ? pages.control : t.sections[section]} aside={key && <ForgetKey />}>
        {t.intro[section]}
      </PageHeader>
      {!key && <AdminKey why={t.why} />}
      {key && !caller && <p className="text-soft">{common.loading}</p>}
      {caller && (
        <nav aria-label={t.nav} className="-mt-1 flex gap-1 overflow-x-auto border-b border-line">
          {allowed.map(([href, name]) => (
            <Link
              key={href}
              href={href}
              aria-current={path === href ? "page" : undefined}
              className={`border-b-2 px-2.5 py-1.5 whitespace-nowrap ${
                path === href ? "border-ink font-medium" : "border-transparent text-soft hover:text-ink"
              }`}
            >
              {t.sections[name]}
            </Link>
          ))}
        </nav>
      )}
      {caller &&
        (allowed.some(([, name]) => name === section) ? (
          <Content admin={key} own={caller.key} may={(right) => rights.includes(right)} />
        ) : (
          <p>{t.cannot(caller.scopes.join(", "))}</p>
        ))}
    </>
  );
}
