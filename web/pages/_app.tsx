import type { AppProps } from "next/app";
import Head from "next/head";
import { GeistMono } from "geist/font/mono";
import { GeistSans } from "geist/font/sans";
import { Shell } from "@/components/shell";
import "./globals.css";

export default function App({ Component, pageProps }: AppProps) {
  return (
    <>
      <Head>
        <meta name="viewport" content="width=device-width, initial-scale=1" />
      </Head>
      <div className={`page ${GeistSans.variable} ${GeistMono.variable}`}>
        <Shell>
          <Component {...pageProps} />
        </Shell>
      </div>
    </>
  );
}
