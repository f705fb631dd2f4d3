import type { KeyboardEvent, MouseEvent } from "react";

/** A button that holds a state may be pressed as fast as one likes: two presses undo each other. */
const button = (target: EventTarget) => (target as Element).closest("button:not([aria-pressed])");

/**
 * Handlers for a page's root: the second click of a double click, and a key that is held down, press no button. By then
 * another button may stand where the first one stood.
 */
export const once = {
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
