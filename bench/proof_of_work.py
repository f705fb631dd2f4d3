"""Measures what a waiting room's proof of work costs a bot, a browser and this service.

    .venv/bin/python bench/proof_of_work.py --json bench/results/proof_of_work.json

A bot derives keys with OpenSSL (by CPython), or with libxcrypt, whose scrypt uses SSE2. A browser does with
ALTCHA's worker, in headless Chromium. They take turns in short slices, and the quickest key of all slices
counts: what else runs on the machine makes a key slower, never quicker. The plain hashes that were demanded
before (65,536 of SHA-256 on average) are measured beside them. Needs Chromium, and `npm ci` in web/.
"""

import argparse
import asyncio
import ctypes
import ctypes.util
import hashlib
import http.server
import json
import os
import platform
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import altcha
from playwright.async_api import Page, async_playwright

from flashguard.engine.decisions import Decisions
from flashguard.engine.receipts import Signer
from flashguard.model import CustomerId, Refused, SaleId, SaleStatus, WaitingRoom
from flashguard.waiting.proof_of_work import BLOCK_SIZE, COST, Proofs

ROUNDS = 6
SLICE_SECONDS = 0.7
HASHES = 65_536
"""On average, for a solution of the kind before."""
WORKER = Path(__file__).parents[1] / "web" / "node_modules" / "altcha" / "dist" / "workers" / "scrypt.js"
SALE = SaleId("drop")
ADA = CustomerId("ada")
CRYPT_DIGITS = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PAGE = """<!doctype html><script>
function run(worker, challenge, counterStart, counterStep) {
  return new Promise((resolve, reject) => {
    worker.onmessage = ({ data }) => (data.derivedKey ? resolve(data) : reject(data.error));
    worker.onerror = reject;
    worker.postMessage({ type: "work", challenge, counterStart, counterStep });
  });
}
const worker = new Worker("/scrypt.js");
async function keys(parameters, slice_ms) {
  const challenge = { parameters: { ...parameters, keyPrefix: "" } };
  const until = performance.now() + slice_ms;
  let best = Infinity;
  for (let counter = 0; performance.now() < until; counter++) {
    const begun = performance.now();
    await run(worker, challenge, counter, 1);
    best = Math.min(best, performance.now() - begun);
  }
  return best;
}
async function hashes(slice_ms) {
  const tried = new Uint8Array(36);
  const until = performance.now() + slice_ms;
  let best = Infinity;
  while (performance.now() < until) {
    const begun = performance.now();
    for (let n = 0; n < 1000; n++) await crypto.subtle.digest("SHA-256", tried);
    best = Math.min(best, (performance.now() - begun) / 1000);
  }
  return best;
}
</script>"""


class Site(http.server.BaseHTTPRequestHandler):
    """The page, and ALTCHA's worker."""

    def do_GET(self) -> None:
        is_worker = self.path == "/scrypt.js"
        body = WORKER.read_bytes() if is_worker else PAGE.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/javascript" if is_worker else "text/html")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def quickest(work: Callable[[], object], repeats: int = 1) -> float:
    """Return the milliseconds of the quickest run within a slice."""
    best, until = float("inf"), time.perf_counter() + SLICE_SECONDS
    while time.perf_counter() < until:
        begun = time.perf_counter()
        for _ in range(repeats):
            work()
        best = min(best, (time.perf_counter() - begun) / repeats * 1000)
    return best


def openssl() -> object:
    most = 256 * COST * BLOCK_SIZE
    return hashlib.scrypt(b"x" * 20, salt=b"s" * 16, n=COST, r=BLOCK_SIZE, p=1, dklen=32, maxmem=most)


def libxcrypt() -> Callable[[], object] | None:
    """Return a derivation by libxcrypt, of the same cost; None where it has no scrypt."""
    name = ctypes.util.find_library("crypt")
    if name is None:
        return None
    crypt = ctypes.CDLL(name).crypt
    crypt.restype = ctypes.c_char_p
    setting = (
        f"$7${CRYPT_DIGITS[COST.bit_length() - 1]}{CRYPT_DIGITS[BLOCK_SIZE]}..../....SodiumChloride$".encode()
    )
    made = crypt(b"x", setting)
    return (lambda: crypt(b"x", setting)) if made and made.startswith(b"$7$") else None


def sha() -> object:
    return hashlib.sha256(b"x" * 36).digest()


class AnySale:
    """What of a sale a challenge depends on."""

    status = SaleStatus.OPEN
    waiting_room = WaitingRoom(proof_of_work=True)


async def any_sale(_: SaleId) -> Any:
    return AnySale()


async def challenge_of(proofs: Proofs) -> dict[str, Any]:
    made = await proofs.challenge(SALE, ADA)
    assert not isinstance(made, Refused)
    return made


async def service(proofs: Proofs) -> tuple[float, float]:
    """Return the milliseconds of CPU that a challenge and a verification cost this process."""
    challenges = [await challenge_of(proofs) for _ in range(5)]
    begun = time.process_time()
    for _ in range(20):
        await challenge_of(proofs)
    made_ms = (time.process_time() - begun) / 20 * 1000
    asked = altcha.Challenge.from_dict(challenges[0])
    solution = altcha.solve_challenge(asked)
    assert solution is not None
    text = altcha.Payload(asked, solution).to_base64()
    return made_ms, quickest(lambda: proofs.verify(SALE, ADA, text), 50)


async def measured(page: Page) -> dict[str, Any]:
    proofs = Proofs(Signer("ab" * 32), cast(Decisions, None), CustomerId, any_sale)
    sse2 = libxcrypt()
    challenge = await challenge_of(proofs)
    parameters = challenge["parameters"]
    best: dict[str, float] = {}

    def note(name: str, ms: float) -> None:
        best[name] = min(ms, best.get(name, ms))

    for _ in range(ROUNDS):
        note("key_openssl_ms", quickest(openssl))
        if sse2 is not None:
            note("key_libxcrypt_ms", quickest(sse2))
        slice_ms = SLICE_SECONDS * 1000
        note("key_browser_ms", await page.evaluate("([of, ms]) => keys(of, ms)", [parameters, slice_ms]))
        note("hash_cpython_ms", quickest(sha, 1000))
        note("hash_browser_ms", await page.evaluate("ms => hashes(ms)", slice_ms))
    made_ms, verified_ms = await service(proofs)
    tries = AnySale.waiting_room.proof_tries
    native = min(best[name] for name in ("key_openssl_ms", "key_libxcrypt_ms") if name in best)
    proofs.close()
    return {
        "tries": tries,
        "memory_kib": COST * BLOCK_SIZE // 8,
        **{name: round(ms, 5) for name, ms in best.items()},
        "proof_bot_cpu_ms": round(tries * native, 1),
        "proof_browser_cpu_ms": round(tries * best["key_browser_ms"], 1),
        "browser_over_bot": round(best["key_browser_ms"] / native, 2),
        "before": {
            "bot_cpu_ms": round(HASHES * best["hash_cpython_ms"], 1),
            "browser_ms": round(HASHES * best["hash_browser_ms"], 1),
            "browser_over_bot": round(best["hash_browser_ms"] / best["hash_cpython_ms"], 1),
        },
        "service_makes_cpu_ms": round(made_ms, 2),
        "service_verifies_ms": round(verified_ms, 3),
    }


async def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--chromium", default="/usr/bin/chromium-headless-shell")
    asked = parser.parse_args()
    site = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=site.serve_forever, daemon=True).start()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=asked.chromium, args=["--no-sandbox"])
        page = await browser.new_page()
        await page.goto(f"http://127.0.0.1:{site.server_port}/")
        figures = await measured(page)
        figures = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "chromium": browser.version,
        } | figures
        await browser.close()
    site.shutdown()
    text = json.dumps(figures, indent=1)
    print(text)
    if asked.json:
        asked.json.write_text(f"{text}\n")


if __name__ == "__main__":
    asyncio.run(main())
