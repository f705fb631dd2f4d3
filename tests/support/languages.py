"""Whether a page speaks German: what it shows, held against its messages and against itself in English."""

import json
import re
import subprocess
from collections.abc import Collection
from functools import cache, reduce
from pathlib import Path
from typing import Final

from playwright.async_api import Page, expect

WEB: Final = Path(__file__).parents[2] / "web"
WORD: Final = re.compile(r"[^\W\d_]+")


def words(text: str) -> str:
    """The words of a text, with a space around each."""
    return f" {' '.join(WORD.findall(text))} "


NAMES: Final = words(
    "FlashGuard OpenAPI embedded container development production bootstrap Unit naive row-lock optimistic "
    "conditional-update skip-locked redis-lock redis-lua sql-batched flashguard lane"
)
"""Names in every language: of this project, its surroundings, what tests sell, and strategies."""
SHOWN: Final = """attributes => {
  // Marked as English, from outside, a language's own name, or code.
  const foreign = 'body [lang="en"], .foreign, option[lang], code, pre, script, style';
  const texts = [document.title];
  const add = (element, text) => { if (text?.trim() && !element.closest(foreign)) texts.push(text); };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) add(walker.currentNode.parentElement, walker.currentNode.data);
  for (const element of document.body.querySelectorAll('*'))
    for (const name of attributes)
      add(element, element.getAttribute(name));
  return texts;
}"""
LABELS: Final = ("aria-label", "title", "alt")


@cache
def messages(language: str) -> frozenset[str]:
    """The words of each message of the pages, as `web/messages` has them; a template counts as its parts."""
    files = map(str, (WEB / "messages").rglob(f"{language}.tsx"))
    done = subprocess.run(
        ("node", "scripts/texts.mjs", *files), cwd=WEB, check=True, capture_output=True, text=True
    )
    return frozenset(words(text) for text in json.loads(done.stdout)) - {words("")}


@cache
def only_english() -> frozenset[str]:
    """The English messages whose words no German message contains."""
    german = "\n".join(messages("de"))
    return frozenset(text for text in messages("en") if text not in german)


async def speak(page: Page, language: str, label: str) -> None:
    """Choose a language; `label` is what the switch is called in it."""
    await page.get_by_label(re.compile("Language|Sprache")).select_option(language)
    await expect(page.get_by_label(label)).to_be_visible()


async def is_german(page: Page, data: Collection[str] = ()) -> None:
    """Everything that the page shows now is German.

    It shows no English message, and nothing that stays the same in English, but for names and words that
    German messages have. The second finds texts that stand in a component and in no file of messages.

    Parameters:
        data: names that users gave; a label may contain them.
    """
    await expect(page.locator("html")).to_have_attribute("lang", "de")
    shown: list[str] = await page.evaluate(SHOWN, [*LABELS, "placeholder"])
    german = [reduce(lambda rest, name: rest.replace(name, "…"), data, text) for text in shown]
    assert len(german) > 10, f"{page.url} shows too little: {german}"
    found = {text: english for text in german for english in only_english() if english in words(text)}
    assert not found, f"{page.url} shows English messages: {found}"
    await speak(page, "en", "Language")
    english = {words(text) for text in await page.evaluate(SHOWN, LABELS)}  # a placeholder may be an example
    await speak(page, "de", "Sprache")
    known = {word for text in (NAMES, *messages("de")) for word in text.split()}
    same = [text for text in german if words(text) in english and not known.issuperset(words(text).split())]
    assert not same, f"{page.url} shows the same in both languages: {same}"
