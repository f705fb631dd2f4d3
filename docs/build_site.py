"""Build the documentation as a site into a folder, with search:  python docs/build_site.py FOLDER

A copy of `docs/` is built, in which links to files of the repository that the site lacks are plain text. The
navigation comes from the tables of docs/README.md, so that one list of pages serves both. With
`--beside-others` this version gets a folder of its own in FOLDER, and readers choose among those there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
VERSIONS: Final = "versions.json"
"""What the theme reads beside the folders of the versions, in the format of `mike`."""
ADDED: Final = {
    "docs/README.md": "pages.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "README.md": "index.md",
    "bench/README.md": "bench.md",
    "bench/results/latest.svg": "pictures/latest.svg",
    "src/flashguard/README.md": "rooms.md",
}
"""Files that stand elsewhere in the site than in the repository; README.md only as the target of links."""
LEFT_OUT: Final = {".py", ".sql", ".pml", ".json", ".toml"}
LINK: Final = re.compile(r"(!?)\[((?:[^][]|\[[^][]*\])*)\]\(([^)\s]+)\)")
SECTION: Final = re.compile(r"^## (.+)$", re.MULTILINE)
CODE: Final = re.compile(r"(^```.*?^```$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
Nav = list[dict[str, "str | list[str]"]]


def files_of_site() -> dict[str, str]:
    """Return where the site has which file of the repository."""
    docs = (path.relative_to(ROOT) for path in (ROOT / "docs").rglob("*") if path.is_file())
    own = {str(path): str(path.relative_to("docs")) for path in docs if path.suffix not in LEFT_OUT}
    return own | ADDED


def navigation(places: dict[str, str]) -> Nav:
    """Return the sections of docs/README.md, each with the pages that its table names."""
    _, *parts = SECTION.split((ROOT / "docs/README.md").read_text())
    nav: Nav = [{"Home": "index.md"}]
    for title, text in zip(parts[::2], parts[1::2], strict=True):
        table = text.rpartition("|\n")[0]
        targets = [os.path.normpath(f"docs/{match[3].partition('#')[0]}") for match in LINK.finditer(table)]
        pages = [places[target] for target in targets if target in places and target != "docs/index.md"]
        nav.append({title.partition(":")[0]: list(dict.fromkeys(pages))})
    decisions = sorted(path for path in places.values() if path.startswith("decisions/0"))
    return [*nav, {"Decisions": ["decisions/README.md", *decisions]}, {"Changelog": "changelog.md"}]


def relinked(markdown: str, source: str, places: dict[str, str]) -> str:
    """Return a page whose links lead to the site's files; of a link to another file only its text stays."""
    here = Path(places[source]).parent

    def followed(match: re.Match[str]) -> str:
        bang, text, target = match.groups()
        path, hash_, anchor = target.partition("#")
        if not path or ":" in path:
            return match[0]
        place = places.get(os.path.normpath(Path(source).parent / path))
        return text if place is None else f"{bang}[{text}]({os.path.relpath(place, here)}{hash_}{anchor})"

    held: list[str] = []

    def hold(match: re.Match[str]) -> str:
        held.append(match[0])
        return f"\0{len(held) - 1}\0"

    prose = LINK.sub(followed, CODE.sub(hold, markdown))
    return re.sub("\0(\\d+)\0", lambda match: held[int(match[1])], prose)


def version_now() -> str:
    """Return the version of the program that the pages describe."""
    found = re.search(r'__version__ = "([^"]+)"', (ROOT / "src/flashguard/__init__.py").read_text())
    assert found
    return found[1]


def settings(nav: Nav, *, chosen: bool) -> str:
    """Return the generator's settings: site.toml with the navigation and the version.

    Parameters:
        chosen: whether the page shows the list of versions.
    """
    before, after = (ROOT / "docs/site.toml").read_text().split("\n[project.theme]\n", 1)
    lines = ",\n  ".join(
        f"{{ {json.dumps(title)} = {json.dumps(pages)} }}" for each in nav for title, pages in each.items()
    )
    more = f'nav = [\n  {lines},\n]\ncopyright = "FlashGuard {version_now()}"\n'
    versions = '\n[project.extra]\nversion = { provider = "mike" }\n' if chosen else ""
    return f"{before}{more}\n[project.theme]\n{after}{versions}"


def add_version(folder: Path, version: str) -> None:
    """Name a version in the folder of all, newest first; the folder's own address leads to the newest."""
    listing = folder / VERSIONS
    known = {each["version"] for each in json.loads(listing.read_text())} if listing.exists() else set()
    newest, *others = sorted(known | {version}, key=numbers, reverse=True)
    rows = [{"version": newest, "title": f"{newest} (latest)", "aliases": ["latest"]}]
    rows += [{"version": each, "title": each, "aliases": []} for each in others]
    listing.write_text(json.dumps(rows, indent=1) + "\n")
    (folder / "index.html").write_text(
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>FlashGuard</title>'
        f'<meta http-equiv="refresh" content="0; url={newest}/">'
        f'<a href="{newest}/">FlashGuard {newest}</a></html>\n'
    )


def numbers(version: str) -> tuple[int, ...]:
    """Return a version's numbers, to compare by."""
    return tuple(int(each) for each in re.findall(r"\d+", version))


def build(target: Path, program: Path, *, beside_others: bool = False) -> None:
    """Build the site into a folder, which is replaced.

    Parameters:
        beside_others: whether the folder has a folder for each version, of which this one is built.

    Raises:
        subprocess.CalledProcessError: the generator failed, or found a link that leads nowhere.
    """
    places = files_of_site()
    with tempfile.TemporaryDirectory(prefix="flashguard-site-") as name:
        folder = Path(name)
        for source, place in places.items():
            if source == "README.md":
                continue
            staged = folder / "docs" / place
            staged.parent.mkdir(parents=True, exist_ok=True)
            if source.endswith(".md"):
                staged.write_text(relinked((ROOT / source).read_text(), source, places))
            else:
                shutil.copyfile(ROOT / source, staged)
        (folder / "zensical.toml").write_text(settings(navigation(places), chosen=beside_others))
        subprocess.run([program, "build", "--clean", "--strict"], cwd=folder, check=True)
        place = target / version_now() if beside_others else target
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(folder / "site", place, ignore=shutil.ignore_patterns("*.map"))
    if beside_others:
        add_version(target, version_now())


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--beside-others", action="store_true", help="as one of several versions")
    arguments = parser.parse_args()
    try:
        program = Path(sys.executable).parent / "zensical"
        build(arguments.folder.absolute(), program, beside_others=arguments.beside_others)
    except subprocess.CalledProcessError as error:
        sys.exit(f"No site: the generator ended with {error.returncode}")


if __name__ == "__main__":
    main()
