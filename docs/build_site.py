"""Build the documentation as a site into a folder, with search:  python docs/build_site.py FOLDER

A copy of `docs/` is built, in which links to files of the repository that the site lacks are plain text. The
navigation comes from the tables of docs/README.md, so that one list of pages serves both.
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


def build(target: Path, program: Path) -> None:
    """Build the site into a folder, which is replaced.

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
        before, after = (ROOT / "docs/site.toml").read_text().split("\n[project.theme]\n", 1)
        nav = ",\n  ".join(
            f"{{ {json.dumps(title)} = {json.dumps(pages)} }}"
            for each in navigation(places)
            for title, pages in each.items()
        )
        (folder / "zensical.toml").write_text(f"{before}nav = [\n  {nav},\n]\n\n[project.theme]\n{after}")
        subprocess.run([program, "build", "--clean", "--strict"], cwd=folder, check=True)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(folder / "site", target, ignore=shutil.ignore_patterns("*.map"))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        build(arguments.folder.absolute(), Path(sys.executable).parent / "zensical")
    except subprocess.CalledProcessError as error:
        sys.exit(f"No site: the generator ended with {error.returncode}")


if __name__ == "__main__":
    main()
