"use client";

import Head from "next/head";
import { useRouter } from "next/router";
import { useSyncExternalStore } from "react";
import { Languages, Monitor, Moon, Sun, Zap } from "lucide-react";
import { API_URL } from "@/lib/api/client";
import { choose, LANGUAGES, useLanguage, useMessages, type Language } from "@/lib/language";
import { SECTIONS } from "@/lib/sections";
import { singlePress } from "@/lib/single-press";
import { useSystem } from "@/lib/use-system";
import { Link } from "./link";
import { useKeyFromAddress } from "./admin-key";
import { Pill } from "./ui";

const PAGES = [
  ["/", "home"],
  ["/simulator/", "simulator"],
  ["/sale/", "storefront"],
  ["/control/", "control"],
] as const;
/** Pages without a tab: others lead to them. */
const OTHERS = [
  ["/order/", "order"],
  ["/script/", "script"],
] as const;
const CURRENT_PAGE = "border-ink font-medium";
const OTHER_PAGE = "border-transparent text-soft hover:text-ink";
/** The width that the header, the content and the footer share. */
const WIDTH = "mx-auto w-full max-w-[90rem] px-4 lg:px-6";
const THEMES = ["system", "light", "dark"] as const;
type Theme = (typeof THEMES)[number];
const ICONS = { system: Monitor, light: Sun, dark: Moon };
const CHANGED = "flashguard:theme";

function subscribe(listener: () => void) {
  window.addEventListener(CHANGED, listener);
  return () => window.removeEventListener(CHANGED, listener);
}

function ThemeSwitch() {
  const theme = useSyncExternalStore<Theme>(
    subscribe,
    () => THEMES.find((name) => name === localStorage.getItem("theme")) ?? "system",
    () => "system",
  );
  const t = useMessages().shell;
  const Icon = ICONS[theme];
  return (
    <label className="relative flex items-center">
      <span className="sr-only">{t.theme}</span>
      <Icon size={13} aria-hidden className="pointer-events-none absolute left-2.5" />
      <select
        className="btn btn-small appearance-none !pl-7 max-sm:w-8 max-sm:text-transparent"
        value={theme}
        onChange={(event) => {
          localStorage.setItem("theme", event.target.value);
          if (event.target.value === "system") delete document.documentElement.dataset.theme;
          else document.documentElement.dataset.theme = event.target.value;
          window.dispatchEvent(new Event(CHANGED));
        }}
      >
        {THEMES.map((name) => (
          <option key={name} value={name}>
            {t.themes[name]}
          </option>
        ))}
      </select>
    </label>
  );
}

function LanguageSwitch() {
  const t = useMessages().shell;
  return (
    <label className="relative flex items-center">
      <span className="sr-only">{t.language}</span>
      <Languages size={13} aria-hidden className="pointer-events-none absolute left-2.5" />
      <select
        className="btn btn-small appearance-none !pl-7"
        value={useLanguage()}
        onChange={(event) => choose(event.target.value as Language)}
      >
        {Object.entries(LANGUAGES).map(([code, name]) => (
          <option key={code} value={code} lang={code} title={name}>
            {code.toUpperCase()}
          </option>
        ))}
      </select>
    </label>
  );
}

/** The state of the installation in a few words. The home page shows each component. */
function Health() {
  const { system, lost, locked } = useSystem();
  const t = useMessages().shell;
  if (locked) return <Pill tone="soft">{t.needsKey}</Pill>;
  if (lost) return <Pill tone="bad">{t.noAnswer}</Pill>;
  if (!system) return <Pill tone="soft">{t.connecting}</Pill>;
  const bad = Object.values(system.components).filter((part) => part.status !== "ok").length;
  return <Pill tone={bad ? "warn" : "good"}>{bad ? t.notReady(bad) : t.allOk}</Pill>;
}

export function Shell({ children }: { children: React.ReactNode }) {
  const path = useRouter().pathname.replace(/\/?$/, "/");
  const { shell: t, pages, control } = useMessages();
  const page = [...PAGES, ...OTHERS].find(([href]) => href === path && href !== "/")?.[1];
  const section = SECTIONS.find(([href]) => href === path && href !== "/control/")?.[1];
  const title = section ? `${control.sections[section]} · ${pages.control}` : page && pages[page];
  const isCurrent = (href: string) => path === href || (href === "/control/" && section !== undefined);
  useKeyFromAddress();
  return (
    <div className="flex min-h-dvh flex-col">
      <Head>
        <title>{title ? `${title} · FlashGuard` : "FlashGuard"}</title>
      </Head>
      <a href="#main" className="btn sr-only focus:not-sr-only focus:absolute focus:top-2 focus:left-2 focus:z-20">
        {t.skip}
      </a>
      <header className="sticky top-0 z-10 border-b border-line bg-panel">
        <div className={`${WIDTH} flex flex-wrap items-center gap-x-6`}>
          <Link href="/" className="flex items-center gap-1.5 py-2.5 font-semibold tracking-tight">
            <Zap size={16} aria-hidden className="fill-current" />
            FlashGuard
          </Link>
          <div className="ml-auto flex items-center gap-2 py-2 sm:gap-3 md:order-last">
            <Health />
            <LanguageSwitch />
            <ThemeSwitch />
          </div>
          <nav
            aria-label={t.nav}
            className="-mx-4 flex basis-[calc(100%+2rem)] overflow-x-auto px-2 md:mx-0 md:basis-auto md:px-0"
          >
            {PAGES.map(([href, name]) => (
              <Link
                key={href}
                href={href}
                aria-current={path === href ? "page" : isCurrent(href) ? "true" : undefined}
                className={`border-b-2 px-2.5 py-2.5 whitespace-nowrap ${isCurrent(href) ? CURRENT_PAGE : OTHER_PAGE}`}
              >
                {pages[name]}
              </Link>
            ))}
          </nav>
        </div>
      </header>
      <main
        id="main"
        tabIndex={-1}
        {...singlePress}
        className={`${WIDTH} grid flex-1 grid-cols-[minmax(0,1fr)] content-start gap-4 py-6`}
      >
        {children}
      </main>
      <Footer />
    </div>
  );
}

function Footer() {
  const t = useMessages().shell;
  const { system } = useSystem();
  return (
    <footer className="border-t border-line">
      <div className={`${WIDTH} flex flex-wrap gap-x-4 gap-y-1 py-3 text-xs text-soft`}>
        <span>FlashGuard {system?.version}</span>
        {system && (
          <span>
            {system.environment}, {system.mode}
          </span>
        )}
        <span className="flex flex-wrap gap-x-4 gap-y-1 sm:ml-auto">
          <a className="link" href={`${API_URL}/guide/`}>
            {t.guide}
          </a>
          <a className="link" href={`${API_URL}/docs`}>
            {t.apiDocs}
          </a>
          <a className="link" href={`${API_URL}/openapi.json`}>
            OpenAPI
          </a>
        </span>
      </div>
    </footer>
  );
}
