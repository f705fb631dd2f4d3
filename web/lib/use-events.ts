"use client";

import { useEffect, useRef, useState } from "react";
import { API_URL } from "./api/client";
import { backoff_ms } from "./retry";

export type Connection = "connecting" | "live" | "lost" | "paused";

/** `refused`: the service answers but offers no stream, as on AWS Lambda. The page retries with back-off. */
export type StreamState = Connection | "refused";

/** The connection counts as lost after this time without an event. The service sends a ping every 5 s. */
const SILENCE_MS = 12_000;

/**
 * Follow an event stream. It reconnects with back-off from the last event id. It closes while the tab is hidden,
 * because browsers allow six connections per host. A `null` path opens no stream.
 */
export function useEvents<Events extends object>(
  path: string | null,
  handlers: { [Name in keyof Events]?: (data: Events[Name]) => void },
): StreamState {
  const [connection, setConnection] = useState<StreamState>("connecting");
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
    const reconnect = () => {
      const refused = source?.readyState === EventSource.CLOSED;
      close();
      setConnection(refused ? "refused" : "lost");
      timer = setTimeout(open, backoff_ms(attempt++));
    };
    const receive = (event: MessageEvent<string>) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(reconnect, SILENCE_MS);
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
      watchdog = setTimeout(reconnect, SILENCE_MS);
      source.onerror = reconnect;
      for (const name of new Set([...names.split(" "), "away", "ping"])) source.addEventListener(name, receive);
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
