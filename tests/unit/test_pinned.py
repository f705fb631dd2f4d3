"""What is pinned must install anywhere: on every platform, and from whichever registry a machine uses."""

import json
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "web" / "package-lock.json"


def missing_optional(packages: dict[str, dict]) -> list[str]:
    """The optional dependencies (most are one platform's binary) that this lock leaves out."""
    missing = []
    for path, package in packages.items():
        for name in package.get("optionalDependencies", {}):
            parts = path.split("/node_modules/") if path else []
            places = ["/node_modules/".join([*parts[:depth], name]) for depth in range(1, len(parts) + 1)]
            if not {f"node_modules/{name}", *places} & packages.keys():
                missing.append(f"{path} needs {name}")
    return missing


def test_every_platforms_binary_is_in_the_pages_lock():
    packages = json.loads(LOCK.read_text())["packages"]
    assert missing_optional(packages) == []
    assert sum("os" in package for package in packages.values()) > 20  # they are there at all


def test_a_lost_platform_binary_is_noticed():
    packages = json.loads(LOCK.read_text())["packages"]
    binary = next(path for path, package in packages.items() if "darwin" in package.get("os", ()))
    del packages[binary]
    assert any(binary.rsplit("node_modules/")[-1] in text for text in missing_optional(packages))


def test_what_runs_when_the_pages_dependencies_are_installed_is_known_and_reports_nothing():
    packages = json.loads(LOCK.read_text())["packages"]
    scripts = {
        path.rpartition("node_modules/")[2] for path in packages if packages[path].get("hasInstallScript")
    }
    assert scripts == {"@scarf/scarf", "unrs-resolver"}  # analytics, turned off below; a platform's binary
    package = json.loads((LOCK.parent / "package.json").read_text())
    assert package["scarfSettings"] == {"enabled": False}


def test_the_pages_lock_names_no_host():
    lock = json.loads(LOCK.read_text())
    assert not [path for path, package in lock["packages"].items() if "resolved" in package]
    assert all(package.get("integrity") for path, package in lock["packages"].items() if path)


@pytest.mark.parametrize("name", ["run.txt", "dev.txt"])
def test_the_pinned_requirements_have_hashes_and_name_no_host(name):
    text = (ROOT / "requirements" / name).read_text()
    assert not re.search(r"://|--(extra-)?index-url|--find-links", text)
    pinned = re.findall(r"^[a-z0-9].*==[^\\\n]*(\\?)$", text, re.MULTILINE)
    assert len(pinned) > 30
    assert all(pinned), "every pin is followed by its hashes"


def test_what_runs_is_what_was_tested():
    run, dev = (
        dict(
            re.findall(
                r"^([a-z0-9._-]+)==([^ \\;]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE
            )
        )
        for name in ("run.txt", "dev.txt")
    )
    assert {name: version for name, version in run.items() if dev.get(name) != version} == {}
