/** Control characters, line ends, marks that turn the direction of text, and characters of no width. */
const UNSEEN = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** Text from outside as one line in which every character shows: what can't be seen stands there by its code point. */
export const visible = (text: string) =>
  text.replace(UNSEEN, (sign) => `\u27e8U+${sign.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}\u27e9`);
