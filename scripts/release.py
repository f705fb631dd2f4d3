"""Prepare a release: its version, its section of the changelog, its packages with their bills of materials.

make dist                         build the packages of this version into dist/
make release VERSION=1.2.0        try a release in a copy of the repository, and change nothing here
make release VERSION=1.2.0 GO=1   commit and tag it, too; release.yml publishes a tag that is pushed
"""

import argparse
import datetime
import hashlib
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
UNRELEASED: Final = "## Unreleased"
VERSION: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
"""The three numbers that PyPI, npm and image tags all accept."""
PLACES: Final = {
    "src/flashguard/__init__.py": (r'(__version__ = ")[^"]+', 1),
    "web/openapi.json": (r'(^  "version": ")[^"]+', 1),
    "web/package.json": (r'(^  "version": ")[^"]+', 1),
    "web/package-lock.json": (r'(\A\{\n  "name": "[^"]+",\n  "version": "|^      "version": ")[^"]+', 2),
    "clients/typescript/package.json": (r'(^  "version": ")[^"]+', 1),
    "clients/typescript/package-lock.json": (
        r'(\A\{\n  "name": "[^"]+",\n  "version": "|^      "version": ")[^"]+', 2,
    ),
    "deploy/kubernetes/example/kustomization.yaml": (r'(newTag: ")[^"]+', 1),
    "deploy/helm/flashguard/Chart.yaml": (r'(^version: |^appVersion: ")[^"\n]+', 2),
}  # fmt: skip
"""By file: what stands before the version, and how often, counted from the top."""


class ReleaseError(Exception):
    """The release can't be made, for a reason that one sentence says."""


def prepare(tree: Path, version: str, day: datetime.date) -> list[str]:
    """Write the version and the changelog's section into a tree; return the files that changed.

    Raises:
        ReleaseError: the version is not newer, or a file does not look as it should.
    """
    now = current(tree)
    if not VERSION.fullmatch(version):
        raise ReleaseError(f"{version} is not a version like 1.2.0")
    if numbers(version) < numbers(now) or (version == now and is_cut(tree, version)):
        raise ReleaseError(f"{version} is not newer than {now}")
    for name, (pattern, times) in PLACES.items():
        path = tree / name
        text, found = re.subn(pattern, rf"\g<1>{version}", path.read_text(), count=times, flags=re.MULTILINE)
        if found != times:
            raise ReleaseError(f"{name} has the version {found} times, not {times}")
        path.write_text(text)
    changelog = tree / "CHANGELOG.md"
    changelog.write_text(cut(changelog.read_text(), version, day))
    return [*PLACES, changelog.name]


def cut(changelog: str, version: str, day: datetime.date) -> str:
    """Return the changelog with its unreleased section under the version, and an empty one above it."""
    if changelog.count(f"{UNRELEASED}\n") != 1:
        raise ReleaseError(f"CHANGELOG.md needs one line `{UNRELEASED}`")
    section = changelog.partition(f"{UNRELEASED}\n")[2].partition("\n## ")[0]
    if not section.strip():
        raise ReleaseError("CHANGELOG.md says nothing under Unreleased: there is nothing to release")
    return changelog.replace(f"{UNRELEASED}\n", f"{UNRELEASED}\n\n## {version} ({day.isoformat()})\n")


def is_cut(tree: Path, version: str) -> bool:
    """Return whether the changelog has this version."""
    return f"\n## {version} (" in (tree / "CHANGELOG.md").read_text()


def current(tree: Path) -> str:
    """Return the version that the tree has."""
    found = re.search(r'__version__ = "([^"]+)"', (tree / "src/flashguard/__init__.py").read_text())
    if not found:
        raise ReleaseError("src/flashguard/__init__.py has no __version__")
    return found[1]


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))


def build(tree: Path, dist: Path) -> list[Path]:
    """Build what is published into a folder, with bills of materials (CycloneDX); return the files."""
    bin_folder = Path(sys.executable).parent
    dist.mkdir(parents=True, exist_ok=True)
    run("make", "--silent", "web/out/csp.json", cwd=tree)
    run(sys.executable, "docs/build_site.py", "web/out/guide", cwd=tree)
    run("node", "scripts/csp.mjs", cwd=tree / "web")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", dist, cwd=tree)
    client = tree / "clients/typescript"
    run("npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", cwd=client)
    run("npm", "pack", "--silent", "--pack-destination", dist, cwd=client)
    bill = dist / "flashguard.cdx.json"
    run(
        *(bin_folder / "cyclonedx-py", "requirements", "--pyproject", "pyproject.toml"),
        *("--output-reproducible", "-o", bill, "requirements/service.txt"),
        cwd=tree,
    )
    of_client = dist / "flashguard-client.cdx.json"
    of_client.write_text(run("npm", "sbom", "--sbom-format", "cyclonedx", "--omit", "dev", cwd=client))
    return sorted(dist.iterdir())


def run(*words: str | Path, cwd: Path) -> str:
    """Run a command and return what it printed; its errors go to our standard error."""
    done = subprocess.run(words, cwd=cwd, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ReleaseError(f"`{' '.join(map(str, words))}` ended with {done.returncode}:\n{done.stdout}")
    return done.stdout


def release(version: str, go: bool, dist: Path) -> None:
    """Make the release in a worktree of the last commit; only with `go`, commit and tag it here."""
    if run("git", "status", "--porcelain", cwd=ROOT):
        raise ReleaseError("commit first: the working tree has changes")
    if run("git", "tag", "--list", f"v{version}", cwd=ROOT):
        raise ReleaseError(f"there is a tag v{version} already")
    with tempfile.TemporaryDirectory(prefix="flashguard-release-") as folder:
        tree = Path(folder) / "tree"
        run("git", "worktree", "add", "--quiet", "--detach", tree, cwd=ROOT)
        try:
            day = datetime.datetime.now(datetime.UTC).date()
            changed = prepare(tree, version, day)
            print(run("git", "diff", "--stat", cwd=tree), end="", flush=True)
            show(build(tree, dist))
        finally:
            run("git", "worktree", "remove", "--force", tree, cwd=ROOT)
    if not go:
        print(f"Nothing was changed here. `make release VERSION={version} GO=1` commits and tags it.")
        return
    prepare(ROOT, version, day)
    run("git", "add", *changed, cwd=ROOT)
    run("git", "commit", "--quiet", "-m", f"Release {version}", cwd=ROOT)
    run("git", "tag", "-a", f"v{version}", "-m", f"FlashGuard {version}", cwd=ROOT)
    print(f"Committed and tagged. `git push --follow-tags` publishes v{version}.")


def show(files: list[Path]) -> None:
    """Print each file with its digest and size."""
    for path in files:
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        print(f"{digest}  {path.name}  ({path.stat().st_size:,} bytes)")


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("version", nargs="?", help="without it, only the packages are built")
    parser.add_argument("--go", action="store_true", help="commit and tag")
    parser.add_argument("--dist", type=Path, default=ROOT / "dist", help="where the packages are put")
    arguments = parser.parse_args()
    try:
        if arguments.version:
            release(arguments.version, arguments.go, arguments.dist)
        else:
            show(build(ROOT, arguments.dist))
    except ReleaseError as error:
        sys.exit(f"No release: {error}")


if __name__ == "__main__":
    main()
