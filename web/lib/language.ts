"use client";

import { useSyncExternalStore } from "react";
import { en, type Messages } from "@/messages/en";

export const LANGUAGES = { en: "English", de: "Deutsch" } as const;
export type Language = keyof typeof LANGUAGES;

const NAME = "language";
/** The other language is a file of its own, loaded when it is chosen. */
const LOADERS: Record<Other, () => Promise<Messages>> = {
  de: () => import("@/messages/de").then((file) => file.de),
};

type Other = Exclude<Language, "en">;
type Chosen = { language: Language; messages: Messages };
const ENGLISH: Chosen = { language: "en", messages: en };
let current: Chosen = ENGLISH;
let wanted: Language | null = null;
const listeners = new Set<() => void>();
/** Loads the texts of one area in a language, if they are not loaded yet. */
const areas = new Set<(language: Language) => Promise<void>>();

/** Return the language that the reader chose, else the first of the browser's that the pages have, else English. */
export function preferred(chosen: string | null, browsers: readonly string[]): Language {
  const known = (name: string): name is Language => name in LANGUAGES;
  if (chosen && known(chosen)) return chosen;
  return browsers.map((name) => name.slice(0, 2).toLowerCase()).find(known) ?? "en";
}

/** Show a language once its messages are loaded. If they cannot be loaded, the pages stay as they are. */
async function show(language: Language): Promise<void> {
  wanted = language;
  const [messages] = await Promise.all([
    language === "en" ? en : LOADERS[language]().catch(() => null),
    ...[...areas].map((load) => load(language)),
  ]);
  if (!messages || wanted !== language) return;
  document.documentElement.lang = language;
  put({ language, messages });
}

function put(chosen: Chosen): void {
  current = chosen;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void) {
  listeners.add(listener);
  if (wanted === null) void show(preferred(localStorage.getItem(NAME), navigator.languages));
  return () => listeners.delete(listener);
}

/** Choose a language, and keep the choice in this browser. */
export function choose(language: Language): void {
  localStorage.setItem(NAME, language);
  void show(language);
}

const useChosen = () =>
  useSyncExternalStore(
    subscribe,
    () => current,
    () => ENGLISH,
  );

export const useLanguage = (): Language => useChosen().language;
/** Return the texts of the pages, in the reader's language. */
export const useMessages = (): Messages => useChosen().messages;
/**
 * Return the hook for the texts of an area: files that only the area's pages load, in place of a part of `Messages`. A
 * language whose file cannot be loaded leaves the area in English.
 */
export function areaMessages<Texts>(english: Texts, loaders: Record<Other, () => Promise<Texts>>): () => Texts {
  const loaded: Partial<Record<Language, Texts>> = { en: english };
  async function load(language: Language) {
    if (language === "en" || loaded[language]) return;
    const texts = await loaders[language]().catch(() => undefined);
    if (texts) loaded[language] = texts;
  }
  areas.add(load);
  return function useTexts() {
    return loaded[useLanguage()] ?? english;
  };
}

/** Load the texts of each area in the language that is shown: the area's file may be newer than the choice. */
export async function areasLoaded(): Promise<void> {
  await Promise.all([...areas].map((load) => load(wanted ?? "en")));
}

/** Return the texts as they are now, for code outside of components. */
export const messages = (): Messages => current.messages;

/**
 * Return the locale of numbers, money and times: the browser's own, with its region, where it is of the pages'
 * language, else the language.
 */
export function locale(): string | undefined {
  if (typeof navigator === "undefined") return undefined;
  return navigator.languages.find((name) => name.slice(0, 2).toLowerCase() === current.language) ?? current.language;
}
