import { Head, Html, Main, NextScript } from "next/document";

/** Sets the chosen theme before the first paint, so that no other theme flashes. A constant: the CSP holds its hash. */
const THEME = `try{var t=localStorage.getItem("theme");\
if(t==="dark"||t==="light")document.documentElement.dataset.theme=t}catch{}`;

export default function Document() {
  return (
    <Html lang="en" suppressHydrationWarning>
      <Head>
        <meta name="description" content="An inventory engine that never oversells." />
        <meta name="theme-color" media="(prefers-color-scheme: light)" content="#ffffff" />
        <meta name="theme-color" media="(prefers-color-scheme: dark)" content="#131519" />
        <link rel="icon" href="/icon.svg" type="image/svg+xml" />
        <script dangerouslySetInnerHTML={{ __html: THEME }} />
      </Head>
      <body>
        <Main />
        <NextScript />
      </body>
    </Html>
  );
}
