import type { Metadata, Viewport } from "next";
import { GeistMono } from "geist/font/mono";
import { GeistSans } from "geist/font/sans";
import { Shell } from "@/components/shell";
import "./globals.css";

export const metadata: Metadata = { title: "FlashGuard", description: "An inventory engine that never oversells." };
export const viewport: Viewport = {
  themeColor: [
    { media: "(prefers-color-scheme: light)", color: "#ffffff" },
    { media: "(prefers-color-scheme: dark)", color: "#131519" },
  ],
};

/** Sets the chosen theme before the first paint, so that no other theme flashes. A constant: the CSP holds its hash. */
const THEME = `try{var t=localStorage.getItem("theme");\
if(t==="dark"||t==="light")document.documentElement.dataset.theme=t}catch{}`;

export default function Layout({ children }: { children: React.ReactNode }) {
  return (
    <html lang="en" className={`${GeistSans.variable} ${GeistMono.variable}`} suppressHydrationWarning>
      <head>
        <script dangerouslySetInnerHTML={{ __html: THEME }} />
      </head>
      <body>
        <Shell>{children}</Shell>
      </body>
    </html>
  );
}
