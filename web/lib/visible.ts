/** Control characters, line ends, marks that change the direction of text, and characters without width. */
const INVISIBLE = /[\p{Cc}\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]/gu;

/** Return text from outside as one line. Invisible characters appear as their code points. */
export const visible = (text: string) =>
  text.replace(
    INVISIBLE,
    (character) => `\u27e8U+${character.codePointAt(0)!.toString(16).toUpperCase().padStart(4, "0")}\u27e9`,
  );
