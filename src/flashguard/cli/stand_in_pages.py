"""The pages of the stand-in for a payment provider, in the buyer's language."""

import hashlib
from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final
from urllib.parse import quote

from aiohttp import web
from msgspec import Struct

STYLE: Final = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { margin: 0; padding: 1.5rem 1rem; display: grid; justify-content: center;
  background: light-dark(#f5f5f4, #161514); color: light-dark(#1c1917, #f0efed); }
main { width: min(26rem, calc(100vw - 2rem)); }
h1 { font-size: 1.25rem; }
li, p { overflow-wrap: anywhere; }
ul { padding-left: 1.25rem; }
form { display: grid; gap: .5rem; }
button { font: inherit; padding: .7rem 1rem; border-radius: .4rem; cursor: pointer; text-align: left;
  border: 1px solid light-dark(#78716c, #a8a29e); background: transparent; color: inherit; }
button.main { background: light-dark(#1c1917, #f0efed); color: light-dark(#fff, #161514); font-weight: 600; }
:focus-visible { outline: 3px solid light-dark(#1d4ed8, #93c5fd); outline-offset: 2px; }
small { display: block; font-weight: 400; }
a { color: light-dark(#1d4ed8, #93c5fd); }
"""
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "img-src data:; base-uri 'none'; frame-ancestors 'none'"
)


class Texts(Struct, frozen=True):
    """What the pages say in one language. `{price}` stands for an amount."""

    title: str
    heading: str
    what: str
    to_pay: str
    pay: str
    late: str
    late_what: str
    less: str
    less_what: str
    decline: str
    decline_what: str
    none_yet: str
    over: str
    back: str
    statuses: Mapping[str, str]


TEXTS: Final = {
    "en": Texts(
        title="Stand-in payment",
        heading="Stand-in payment: no money moves",
        what="FlashGuard's development mode shows this page in place of a payment provider's.",
        to_pay="To pay",
        pay="Pay {price}",
        late="Pay too late",
        late_what="The money arrives when the hold has ended: it becomes an order while units are left, else "
        "it goes back.",
        less="Pay too little",
        less_what="One cent is missing, so it goes back.",
        decline="Decline",
        decline_what="No money is taken, and the session ends.",
        none_yet="There is no payment yet: press Pay in the storefront.",
        over="This session is over.",
        back="Back without paying",
        statuses={},
    ),
    "de": Texts(
        title="Probezahlung",
        heading="Probezahlung: Es fließt kein Geld",
        what="Im Entwicklungsmodus zeigt FlashGuard diese Seite anstelle der eines Zahlungsdienstes.",
        to_pay="Zu zahlen",
        pay="{price} zahlen",
        late="Zu spät zahlen",
        late_what="Das Geld kommt nach dem Ende der Reservierung: Sind noch Stücke da, wird daraus eine "
        "Bestellung, sonst geht es zurück.",
        less="Zu wenig zahlen",
        less_what="Ein Cent fehlt, deshalb geht das Geld zurück.",
        decline="Ablehnen",
        decline_what="Es wird kein Geld genommen, und die Sitzung endet.",
        none_yet="Es gibt noch keine Zahlung: Drücken Sie im Shop auf Bezahlen.",
        over="Diese Sitzung ist beendet.",
        back="Zurück, ohne zu zahlen",
        statuses={"open": "offen", "paid": "bezahlt", "late": "verspätet", "ended": "beendet"},
    ),
}


def language_of(accepted: str) -> str:
    """Return the first language of an `Accept-Language` that the pages speak, as browsers order them."""
    wanted = (part.partition(";")[0].partition("-")[0].strip().lower() for part in accepted.split(","))
    return next((name for name in wanted if name in TEXTS), "en")


def list_page(accepted: str, rows: Iterable[tuple[str, str, str]]) -> web.Response:
    """Return the page of the last payments: of each its id, price and status."""
    language = language_of(accepted)
    t = TEXTS[language]
    listed = "".join(
        f'<li><a href="/pay/{quote(id_, safe="")}">{escape(price)}</a>, {t.statuses.get(status, status)}</li>'
        for id_, price, status in rows
    )
    return _page(language, f"<ul>{listed}</ul>" if listed else f"<p>{t.none_yet}</p>")


def session_page(
    accepted: str, lines: Iterable[tuple[int, str, str]], price: str, *, is_open: bool, back: str | None
) -> web.Response:
    """Return the page on which a buyer chooses how to pay.

    Parameters:
        lines: of each line its quantity, name and price.
        back: where a buyer goes who does not pay.
    """
    language = language_of(accepted)
    t = TEXTS[language]
    bought = "".join(f"<li>{count} × {escape(name)}, {escape(each)}</li>" for count, name, each in lines)
    others = "".join(
        f'<button name="choice" value="{value}">{text}<small>{what}</small></button>'
        for value, text, what in (
            ("late", t.late, t.late_what), ("less", t.less, t.less_what),
            ("decline", t.decline, t.decline_what),
        )
    )  # fmt: skip
    pay = t.pay.format(price=escape(price))
    choices = (
        f'<form method="post"><button class="main" name="choice" value="pay">{pay}</button>{others}</form>'
    )
    text = f"<ul>{bought}</ul><p>{t.to_pay}: <strong>{escape(price)}</strong></p>"
    text += choices if is_open else f"<p>{t.over}</p>"
    if back:
        text += f'<p><a href="{escape(back)}">{t.back}</a></p>'
    return _page(language, text)


def _page(language: str, text: str) -> web.Response:
    t = TEXTS[language]
    return web.Response(
        text=f"""<!doctype html>
<html lang="{language}"><head><meta charset="utf-8"><title>{t.title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head>
<body><main><h1>{t.heading}</h1>
<p>{t.what}</p>
{text}</main></body></html>
""",
        content_type="text/html",
        headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "Vary": "Accept-Language"},
    )
