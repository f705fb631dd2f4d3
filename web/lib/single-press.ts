import type { KeyboardEvent, MouseEvent } from "react";

const SINGLE = "button:not([aria-pressed], [data-step])";
/**
 * Return the button of an event, unless every press counts: two quick presses of a toggle undo each other, those of a
 * stepper (`data-step`) add up.
 */
const button = (target: EventTarget) => (target as Element).closest(SINGLE);

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
