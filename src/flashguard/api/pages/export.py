"""The built pages: a static export, kept in memory with its headers."""

import gzip
import hashlib
import mimetypes
from pathlib import Path
from typing import Final

import msgspec

import flashguard

MAX_BYTES: Final = 64 * 1024 * 1024
"""The export has about 1 MB; a far larger folder is not an export."""
MIN_GZIP_BYTES: Final = 1024
IMMUTABLE_PREFIXES: Final = ("/_next/static/chunks/", "/_next/static/media/")
"""File names below them contain a hash of their content; those of Next.js's manifests beside them do not."""
EMBED_PREFIX: Final = "/embed/"
"""Below it is what pages of other origins load, by names that stay the same."""
EMBED_CACHE: Final = "public, max-age=300, stale-while-revalidate=86400"
IMMUTABLE: Final = "public, max-age=31536000, immutable"
COMPRESSIBLE: Final = ("text/", "application/javascript", "application/json", "image/svg+xml")

mimetypes.add_type("text/javascript", ".js")
mimetypes.add_type("font/woff2", ".woff2")
mimetypes.add_type("application/manifest+json", ".webmanifest")


class Asset:
    """One file; compressed at the first request that accepts gzip."""

    def __init__(self, name: str, body: bytes) -> None:
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        self.page = kind == "text/html"
        self.kind = f"{kind}; charset=utf-8" if kind.startswith("text/") else kind
        self.body = body
        self.etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        self.embedded = name.startswith(EMBED_PREFIX)
        self.cache = IMMUTABLE if name.startswith(IMMUTABLE_PREFIXES) else "no-cache"
        if self.embedded:
            self.cache = EMBED_CACHE
        self._compressible = kind.startswith(COMPRESSIBLE) and len(body) >= MIN_GZIP_BYTES
        self._compressed: bytes | None = None

    def compressed(self) -> bytes | None:
        """Return the gzipped body; None where compression does not help."""
        if self._compressed is None and self._compressible:
            self._compressed = gzip.compress(self.body, 6, mtime=0)
        return self._compressed


class _Csp(msgspec.Struct):
    script_hashes: list[str] = []


class Export:
    """All files of one build.

    Raises:
        ValueError: the folder holds too much, or its `csp.json` can't be read.
    """

    def __init__(self, folder: Path) -> None:
        self.built = built(folder)
        self._assets: dict[str, Asset] = {}
        total = 0
        for path in sorted(folder.rglob("*")):
            if not path.is_file() or path.is_symlink():
                continue
            total += path.stat().st_size
            if total > MAX_BYTES:
                raise ValueError(f"{folder} holds more than {MAX_BYTES} bytes")
            name = f"/{path.relative_to(folder).as_posix()}"
            self._assets[name] = Asset(name, path.read_bytes())
        csp = self._assets.pop("/csp.json", None)
        try:
            hashes = msgspec.json.decode(csp.body, type=_Csp).script_hashes if csp else []
        except msgspec.DecodeError as error:
            raise ValueError(f"{folder}/csp.json: {error}") from error
        self.policy = policy(hashes)

    def find(self, path: str) -> Asset | None:
        """Return the file at a path, or the page of a folder."""
        if path.endswith("/"):
            return self._assets.get(f"{path}index.html")
        return self._assets.get(path) or self._assets.get(f"{path}.html")

    def is_folder(self, path: str) -> bool:
        """Return whether the path names a page except for its missing final slash."""
        return not path.endswith("/") and f"{path}/index.html" in self._assets


def policy(script_hashes: list[str]) -> str:
    """Return the content-security policy of the pages: nothing from other hosts, only scripts of the
    build."""
    quoted = " ".join(f"'{name.strip(chr(39))}'" for name in script_hashes)
    return "; ".join(
        (
            "default-src 'self'",
            f"script-src 'self' {quoted}".rstrip(),
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data: blob:",
            "font-src 'self'",
            "connect-src 'self'",
            "object-src 'none'",
            "base-uri 'none'",
            "form-action 'self'",
            "frame-ancestors 'none'",
        )
    )


def find_folder(given: Path | None) -> Path | None:
    """Return the export's folder: as set, else in the package (from a wheel), else where make builds it."""
    package = Path(flashguard.__file__).parent
    candidates = [given] if given else [package / "web_export", package.parent.parent / "web" / "out"]
    return next((folder for folder in candidates if (folder / "index.html").is_file()), None)


def built(folder: Path) -> tuple[str, int, int]:
    """Return what identifies one build of the pages."""
    csp = folder / "csp.json"  # written last
    written = csp.stat().st_mtime_ns if csp.is_file() else 0
    return str(folder), (folder / "index.html").stat().st_mtime_ns, written
