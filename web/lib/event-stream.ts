import { backoff_ms } from "./retry";

export type Connection = "connecting" | "live" | "lost" | "paused";

/** `refused`: the service answers but offers no stream, as on AWS Lambda. The stream retries with back-off. */
export type StreamState = Connection | "refused";

/** The connection counts as lost after this time without an event. The service sends a ping every 5 s. */
const SILENCE_MS = 12_000;

/**
 * Follow an event stream; return what closes it. It reconnects with back-off from the last event id. It closes while
 * the tab is hidden, because browsers allow six connections per host.
 */
export function openStream(
  url: string,
  names: readonly string[],
  onState: (state: StreamState) => void,
  onEvent: (name: string, data: unknown) => void,
): () => void {
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
    onState(refused ? "refused" : "lost");
    timer = setTimeout(open, backoff_ms(attempt++));
  };
  const receive = (event: MessageEvent<string>) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(reconnect, SILENCE_MS);
    if (event.lastEventId) lastId = event.lastEventId;
    attempt = 0;
    if (event.type === "away") onState("lost");
    else if (event.type !== "ping") onState("live");
    if (event.type !== "ping") onEvent(event.type, JSON.parse(event.data));
  };
  function open() {
    close();
    source = new EventSource(url + (lastId ? `?last_event_id=${encodeURIComponent(lastId)}` : ""));
    watchdog = setTimeout(reconnect, SILENCE_MS);
    source.onerror = reconnect;
    for (const name of new Set([...names, "away", "ping"])) source.addEventListener(name, receive);
  }
  const onVisibility = () => {
    if (document.hidden) {
      close();
      onState("paused");
    } else open();
  };
  document.addEventListener("visibilitychange", onVisibility);
  if (!document.hidden) open();
  return () => {
    document.removeEventListener("visibilitychange", onVisibility);
    close();
  };
}
