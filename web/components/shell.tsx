"use client";

import Link from "next/link";
import { usePathname } from "next/navigation";
import { useSyncExternalStore } from "react";

const PAGES = [["/", "Home"], ["/simulator/", "Simulator"], ["/sale/", "Storefront"], ["/control/", "Control room"]] as const;
const THEMES = ["system", "dark", "light"] as const;
const CHANGED = "flashguard:theme";

function subscribe(listener: () => void) {
  window.addEventListener(CHANGED, listener);
  return () => window.removeEventListener(CHANGED, listener);
}

function ThemeSwitch() {
  const theme = useSyncExternalStore(subscribe, () => localStorage.getItem("theme") ?? "system", () => "system");
  return (
    <label className="flex items-center gap-2 text-soft">
      Theme
      <select className="field !w-auto text-ink" value={theme} onChange={(event) => {
        localStorage.setItem("theme", event.target.value);
        if (event.target.value === "system") delete document.documentElement.dataset.theme;
        else document.documentElement.dataset.theme = event.target.value;
        window.dispatchEvent(new Event(CHANGED));
      }}>
        {THEMES.map((name) => <option key={name}>{name}</option>)}
      </select>
    </label>
  );
}

export function Shell({ children }: { children: React.ReactNode }) {
  const path = usePathname();
  return (
    <>
      <header className="border-b border-line bg-panel">
        <div className="mx-auto flex max-w-7xl flex-wrap items-center gap-x-5 gap-y-2 px-4 py-2">
          <Link href="/" className="font-semibold">FlashGuard</Link>
          <nav aria-label="Pages" className="flex flex-wrap gap-4">
            {PAGES.map(([href, name]) => (
              <Link key={href} href={href} aria-current={path === href ? "page" : undefined}
                className={path === href ? "font-medium underline underline-offset-4" : "text-soft hover:text-ink"}>{name}</Link>
            ))}
          </nav>
          <div className="ml-auto"><ThemeSwitch /></div>
        </div>
      </header>
      <main className="mx-auto grid max-w-7xl grid-cols-[minmax(0,1fr)] gap-4 px-4 py-5">{children}</main>
    </>
  );
}
