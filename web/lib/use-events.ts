"use client";

import { useEffect, useRef, useState } from "react";
import { API_URL } from "./api/client";
import { backoff_ms } from "./retry";

export type Connection = "connecting" | "live" | "lost" | "paused";

/** What a stream can be besides: refused by a service that is there (AWS Lambda has no streams), and tried again. */
export type Stream = Connection | "refused";

/** No event, not even a ping (every 5 s), for so long: the connection is lost. */
const SILENCE_MS = 12_000;

/**
 * One event stream: reconnects with back-off, tells the last id it saw, and is closed while the tab is hidden
 * (browsers allow six connections per host). `null` as path: no stream.
 */
export function useEvents<Events extends object>(
  path: string | null,
  handlers: { [Name in keyof Events]?: (data: Events[Name]) => void },
): Stream {
  const [connection, setConnection] = useState<Stream>("connecting");
  const latest = useRef(handlers);
  useEffect(() => {
    latest.current = handlers;
  });
  const names = Object.keys(handlers).sort().join(" ");

  useEffect(() => {
    if (path === null) return;
    let source: EventSource | null = null;
    let timer: ReturnType<typeof setTimeout> | undefined;
    let watchdog: ReturnType<typeof setTimeout> | undefined;
    let attempt = 0;
    let lastId = "";

    const close = () => {
      clearTimeout(timer);
      clearTimeout(watchdog);
      source?.close();
      source = null;
    };
    const lost = () => {
      const refused = source?.readyState === EventSource.CLOSED;
      close();
      setConnection(refused ? "refused" : "lost");
      timer = setTimeout(open, backoff_ms(attempt++));
    };
    const heard = (event: MessageEvent<string>) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(lost, SILENCE_MS);
      if (event.lastEventId) lastId = event.lastEventId;
      attempt = 0;
      if (event.type === "away") setConnection("lost");
      else if (event.type !== "ping") setConnection("live");
      if (event.type !== "ping") {
        const handler = latest.current[event.type as keyof Events] as ((data: unknown) => void) | undefined;
        handler?.(JSON.parse(event.data));
      }
    };
    function open() {
      close();
      source = new EventSource(API_URL + path + (lastId ? `?last_event_id=${encodeURIComponent(lastId)}` : ""));
      watchdog = setTimeout(lost, SILENCE_MS);
      source.onerror = lost;
      for (const name of new Set([...names.split(" "), "away", "ping"])) source.addEventListener(name, heard);
    }
    const onVisibility = () => {
      if (document.hidden) {
        close();
        setConnection("paused");
      } else open();
    };
    document.addEventListener("visibilitychange", onVisibility);
    if (!document.hidden) open();
    return () => {
      document.removeEventListener("visibilitychange", onVisibility);
      close();
    };
  }, [path, names]);
  return connection;
}
