import { act } from "@testing-library/react";

/** An EventSource whose events come from a test. */
export class FakeSource extends EventTarget {
  static readonly CLOSED = 2;
  static all: FakeSource[] = [];
  readyState = 1;
  onerror: (() => void) | null = null;
  closed = false;
  constructor(readonly url: string) {
    super();
    FakeSource.all.push(this);
  }
  close() {
    this.closed = true;
  }
  send(type: string, data: unknown, lastEventId = "") {
    act(() => void this.dispatchEvent(new MessageEvent(type, { data: JSON.stringify(data), lastEventId })));
  }
}
