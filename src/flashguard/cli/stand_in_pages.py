"""The pages of the stand-in for a payment provider."""

import hashlib
from base64 import b64encode
from typing import Final

from aiohttp import web

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
FRAME: Final = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Stand-in payment</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="icon" href="data:,">
<style>{STYLE}</style></head>
<body><main><h1>Stand-in payment: no money moves</h1>
<p>FlashGuard's development mode shows this page in place of a payment provider's.</p>
%s</main></body></html>
"""
PAGE: Final = """<ul>{lines}</ul>
<p>To pay: <strong>{price}</strong></p>
{choices}{back}"""
CHOICES: Final = """<form method="post">
<button class="main" name="choice" value="pay">Pay {price}</button>
<button name="choice" value="late">Pay too late<small>The money arrives when the hold has ended: it becomes an
order while units are left, else it goes back.</small></button>
<button name="choice" value="less">Pay too little<small>One cent is missing, so it goes back.</small></button>
<button name="choice" value="decline">Decline<small>No money is taken, and the session ends.</small></button>
</form>"""
LINE: Final = "<li>{quantity} × {name}, {price}</li>"
LISTED: Final = '<li><a href="/pay/{id}">{price}</a>, {status}</li>'
NONE_YET: Final = "<p>There is no payment yet: press Pay in the storefront.</p>"
OVER: Final = "<p>This session is over.</p>"
BACK: Final = '<p><a href="{url}">Back without paying</a></p>'


def html_page(text: str) -> web.Response:
    """Return a page with this text between its heading and its end."""
    return web.Response(
        text=FRAME % text,
        content_type="text/html",
        headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"},
    )
