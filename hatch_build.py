"""Builds the pages into the wheel and the source distribution, so that users of the package need no Node."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PACKAGED = Path("src/flashguard/web_export")


class CustomBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts `web/out` into the package as `flashguard/web_export`."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Builds the export, unless the install is editable or a source distribution brought it along.

        Raises:
            RuntimeError: there is neither Node nor a built export.
        """
        if version == "editable":
            return
        root = Path(self.root)
        packaged = root / PACKAGED
        if (root / "web" / "package.json").is_file():
            export = self._built(root / "web")
            shutil.rmtree(packaged, ignore_errors=True)
            shutil.copytree(export, packaged)
        if not (packaged / "index.html").is_file():
            raise RuntimeError(f"{packaged} is missing, and there are no sources to build it from")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Removes our copy again: in the repository the pages are served from `web/out`."""
        root = Path(self.root)
        if version != "editable" and (root / "web" / "package.json").is_file():
            shutil.rmtree(root / PACKAGED, ignore_errors=True)

    def _built(self, web: Path) -> Path:
        export = web / "out"
        if shutil.which("npm"):
            env = os.environ | {"NEXT_TELEMETRY_DISABLED": "1"}
            subprocess.run(["make", "-s", "web/out/csp.json"], cwd=web.parent, env=env, check=True)
        elif not (export / "index.html").is_file():
            raise RuntimeError("Building FlashGuard's package needs Node 20 or newer, for its pages.")
        return export
