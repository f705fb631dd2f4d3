"""Look for known vulnerabilities in every pinned dependency: `make audit-dependencies`.

Python's are asked of pip-audit, npm's of npm; both ask the registry that this machine uses. Where it can't be
reached, a sentence says so. Exit code 1: a vulnerability was found, or, with --must, something was not asked.
"""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).parents[1]
TOOL: Final = "pip-audit==2.10.1"
LOCKS: Final = (ROOT / "web", ROOT / "clients" / "typescript")
SECONDS: Final = 300
SHOWN: Final = 200


class NotAsked(Exception):
    """Nothing is known of these dependencies; the message says why."""


def of_pip_audit(answer: str) -> list[str]:
    """Return a line per vulnerability of pip-audit's JSON."""
    rows = [(each, found) for each in _json(answer)["dependencies"] for found in each.get("vulns", ())]
    return [
        f"{each['name']} {each['version']}: {found['id']}, fixed in {', '.join(found['fix_versions'])}"
        for each, found in rows
    ]


def of_npm(answer: str) -> list[str]:
    """Return a line per vulnerable package of npm's JSON."""
    report = _json(answer)
    if "vulnerabilities" not in report:
        raise NotAsked(str(report.get("message") or report.get("error") or report)[:SHOWN])
    rows = sorted(report["vulnerabilities"].items())
    return [f"{name} {each['range']}: {each['severity']}" for name, each in rows]


def _json(answer: str) -> dict[str, Any]:
    try:
        report = json.loads(answer)
    except ValueError as error:
        raise NotAsked(f"no JSON: {answer.strip()[-SHOWN:] or 'nothing'}") from error
    if not isinstance(report, dict):
        raise NotAsked(f"no report: {answer[:SHOWN]}")
    return report


def _run(*words: str | Path, cwd: Path = ROOT) -> str:
    try:
        ran = subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotAsked(str(error)) from error
    if not ran.stdout.strip():
        lines = ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"]
        raise NotAsked(lines[-1][:SHOWN])
    return ran.stdout


def _tool() -> Path:
    """Return pip-audit, in an environment of its own, so that it audits nothing of itself here."""
    place = ROOT / ".venv" / "audit"
    if not (place / "bin" / "pip-audit").exists():
        pip = [place / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-input", TOOL]
        for words in ([sys.executable, "-m", "venv", place], pip):
            ran = subprocess.run(words, capture_output=True, text=True, check=False)
            if ran.returncode:
                lines = ran.stderr.strip().splitlines() or ["no reason given"]
                raise NotAsked(f"{TOOL} can't be installed: {lines[-1][:SHOWN]}")
    return place / "bin" / "pip-audit"


def requirements(path: Path, tool: Path) -> list[str]:
    """Return the vulnerabilities of a file of pinned requirements."""
    words = ("-r", path, "--disable-pip", "--require-hashes", "--format", "json", "--progress-spinner", "off")
    return of_pip_audit(_run(tool, *words))


def lock(folder: Path) -> list[str]:
    """Return the vulnerabilities of the folder's package-lock.json."""
    return of_npm(_run("npm", "audit", "--json", "--package-lock-only", cwd=folder))


def report(name: str, audit: Callable[[], list[str]]) -> bool | None:
    """Print what an audit found; return whether it is clean, None where it could not be made."""
    try:
        found = audit()
    except NotAsked as why:
        print(f"{name}: not audited: {why}")
        return None
    print(f"{name}: {len(found) or 'no'} known vulnerabilities", *found, sep="\n  ")
    return not found


def main() -> int:
    """Audit everything."""
    audits: list[tuple[str, Callable[[], list[str]]]] = []
    results: list[bool | None] = []
    try:
        tool = _tool()
        files = sorted((ROOT / "requirements").glob("*.txt"))
        audits += [(f"requirements/{file.name}", partial(requirements, file, tool)) for file in files]
    except NotAsked as why:
        print(f"requirements: not audited: {why}")
        results.append(None)
    audits += [(str(folder.relative_to(ROOT)), partial(lock, folder)) for folder in LOCKS]
    results += [report(name, audit) for name, audit in audits]
    return int(False in results or ("--must" in sys.argv[1:] and None in results))


if __name__ == "__main__":
    sys.exit(main())
