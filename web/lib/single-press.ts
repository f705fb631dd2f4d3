import type { KeyboardEvent, MouseEvent } from "react";

/** Return the button of an event, unless it is a toggle: two quick presses of a toggle undo each other. */
const button = (target: EventTarget) => (target as Element).closest("button:not([aria-pressed])");

/**
 * Handlers for a page's root: they stop the second click of a double click and the repeats of a key held down. Another
 * button may stand in the place of the first one by then.
 */
export const singlePress = {
  onClickCapture(event: MouseEvent) {
    if (event.detail < 2 || !button(event.target)) return;
    event.preventDefault();
    event.stopPropagation();
  },
  onKeyDownCapture(event: KeyboardEvent) {
    if (!event.repeat || !(event.key === "Enter" || (event.key === " " && button(event.target)))) return;
    event.preventDefault();
    event.stopPropagation();
  },
};
