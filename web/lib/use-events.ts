"use client";

import { useEffect, useRef, useState } from "react";
import { API_URL } from "./api/client";
import { openStream, type StreamState } from "./event-stream";

export type { Connection, StreamState } from "./event-stream";

/** Follow an event stream, as `openStream` does. A `null` path opens no stream. */
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
    return openStream(API_URL + path, names.split(" "), setConnection, (name, data) => {
      const handler = latest.current[name as keyof Events] as ((data: unknown) => void) | undefined;
      handler?.(data);
    });
  }, [path, names]);
  return connection;
}
