"""A Dockerfile's stages, built by its own steps in clean roots: what a container engine does, without one."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import dockerfile

from tests.support.deploy_files import ROOT, ignored

SUITE = "bookworm"
STAGE_SECONDS = 900
LIBRARIES = (
    "ca-certificates", "libbz2-1.0", "libexpat1", "libffi8", "liblzma5", "libncursesw6", "libreadline8",
    "libsqlite3-0", "libssl3", "libstdc++6", "libuuid1", "zlib1g",
)  # fmt: skip
"""What Python and Node are linked with; the official images bring the same."""
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
READ_ONLY = """
set -e
mount --bind "$ROOT" "$ROOT"
for folder in $SECRETS; do mount --bind "$folder" "$ROOT/run/secrets"; done
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
mount -t tmpfs -o size=64m,mode=1777,noexec,nosuid,nodev tmpfs "$ROOT/tmp"
mount -o remount,bind,ro "$ROOT"
exec chroot "$ROOT" setpriv --reuid="$USER" --regid="$USER" --clear-groups --no-new-privs \
  --bounding-set=-all --inh-caps=-all env -i --chdir="$WORKDIR" "$@"
"""
BUILDING = """
set -e
mount -t proc proc "$ROOT/proc"
mount --rbind /dev "$ROOT/dev"
exec chroot "$ROOT" env -i --chdir="$WORKDIR" "$@"
"""


@dataclass
class Stage:
    """One stage: its root, and what its steps set."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    workdir: str = "/"
    user: str = "0"
    said: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """ENTRYPOINT, CMD, HEALTHCHECK and the like, as they stand."""

    def inside(self, words: list[str], *, secrets: Path | None = None, **more: str) -> subprocess.Popen[str]:
        """Starts a command as the image would: its user, a read-only file system, no privilege to be had.

        The process that is returned is the command itself: a signal reaches it.
        """
        variables = [f"{name}={value}" for name, value in (self.env | more).items()]
        words = ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", *variables, *words]
        env = os.environ | {
            "ROOT": str(self.root),
            "USER": self.user.split(":")[0],
            "WORKDIR": self.workdir,
            "SECRETS": str(secrets or ""),
        }
        return subprocess.Popen(words, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

    def megabytes(self, *below: str) -> float:
        """What the files take, as layers count them."""
        places = [self.root / place.lstrip("/") for place in below] or [self.root]
        done = subprocess.run(
            ["du", "--apparent-size", "--one-file-system", "-scB1", *places],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(done.stdout.split()[-2]) / 1e6


def make_bases(place: Path, python: Path | None) -> dict[str, Path]:
    """What stands in for the official images: Debian's smallest system with Python, and with Node.

    Parameters:
        python: the prefix of a Python 3.12; without one, Debian's own.
    """
    bases = {"python": place / "python", "node": place / "node"}
    if all((base / "etc/debian_version").exists() for base in bases.values()):
        return bases
    plain = place / "debian"
    packages = [*LIBRARIES, *([] if python else ["python3", "python3-venv"])]
    say(f"debootstrap makes the bases, of {SUITE}")
    subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", SUITE, plain],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    shutil.copy("/etc/resolv.conf", plain / "etc" / "resolv.conf")
    shutil.copy("/etc/hosts", plain / "etc" / "hosts")
    shutil.copy(CERTIFICATES, plain / CERTIFICATES.relative_to("/"))
    for base in bases.values():
        copy(plain, base)
    shutil.rmtree(plain)
    if python:
        copy(python, bases["python"] / "usr" / "local")
        subprocess.run(["chroot", bases["python"], "/usr/sbin/ldconfig"], check=True)
    else:
        (bases["python"] / "usr" / "local" / "bin" / "python").symlink_to("/usr/bin/python3")
    node = Path(os.path.realpath(shutil.which("node") or "node"))
    npm = Path(os.path.realpath(shutil.which("npm") or "npm")).parents[1]
    local = bases["node"] / "usr" / "local"
    shutil.copy(node, local / "bin" / "node")
    copy(npm, local / "lib" / "node_modules" / "npm")
    (local / "bin" / "npm").symlink_to("../lib/node_modules/npm/bin/npm-cli.js")
    (local / "bin" / "npx").symlink_to("../lib/node_modules/npm/bin/npx-cli.js")
    return bases


def say(what: str) -> None:
    """Say on stderr what begins now: the result is on stdout."""
    print(what, file=sys.stderr, flush=True)


def copy(source: Path, to: Path) -> None:
    """Everything in a folder, as it is."""
    to.mkdir(parents=True, exist_ok=True)
    subprocess.run(["cp", "-a", f"{source}/.", to], check=True)


def build(path: Path, place: Path, bases: dict[str, Path]) -> Stage:
    """The last stage, after all steps of all stages; a whole build that is here already is taken."""
    built = place / "built"
    there = built.exists()
    arguments: dict[str, str] = {}
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for step in dockerfile.parse_file(str(path)):
        if step.cmd == "ARG" and stage is None:
            name, _, value = step.value[0].partition("=")
            arguments[name] = value
        elif step.cmd == "FROM":
            image = re.sub(r"\$\{(\w+)\}", lambda found: arguments[found[1]], step.value[0])
            stage = Stage(
                place / f"stage-{len(stages)}", {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"}
            )
            if not there:
                copy(bases[image.partition(":")[0]], stage.root)
            stages[step.value[-1] if len(step.value) > 1 else "last"] = stage
        elif not (there and step.cmd in ("RUN", "COPY")):
            assert stage is not None
            if step.cmd == "RUN":
                say(f"{image}: {' '.join(step.original.split())[:100]}")
            _do(step, stage, stages)
    built.touch()
    return stages["last"]


def _do(step: dockerfile.Command, stage: Stage, stages: dict[str, Stage]) -> None:
    """Carries out one step; what is unknown fails, so that a new kind of step is not passed over."""
    if step.cmd == "ENV":
        stage.env |= {
            name: shlex.split(value)[0] for name, value in zip(step.value[::2], step.value[1::2], strict=True)
        }
    elif step.cmd == "WORKDIR":
        stage.workdir = step.value[0]
        (stage.root / step.value[0].lstrip("/")).mkdir(parents=True, exist_ok=True)
    elif step.cmd == "USER":
        stage.user = step.value[0]
    elif step.cmd == "COPY":
        _copy(step, stage, stages)
    elif step.cmd == "RUN":
        _run(step.value[0], stage)
    else:
        assert step.cmd in ("ARG", "LABEL", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK", "ENTRYPOINT", "CMD"), step
        stage.said[step.cmd] = step.value


def _copy(step: dockerfile.Command, stage: Stage, stages: dict[str, Stage]) -> None:
    *sources, to = step.value
    target = (
        stage.root / to.lstrip("/") if to.startswith("/") else stage.root / stage.workdir.lstrip("/") / to
    )
    from_stage = next(
        (flag.removeprefix("--from=") for flag in step.flags if flag.startswith("--from=")), None
    )
    for source in sources:
        if from_stage:
            copy(stages[from_stage].root / source.strip("/"), target)
            continue
        for name in _context(source.rstrip("/")):
            inner = name.removeprefix(source.rstrip("/")).lstrip("/")
            place = target / inner if inner else target / Path(name).name if to.endswith("/") else target
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, place)


def _context(source: str) -> list[str]:
    """The files of the repository below this path that a build sees."""
    words = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", source]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    return [name for name in listed if name and not ignored(name)]


def _run(command: str, stage: Stage) -> None:
    certificates = {name: str(CERTIFICATES) for name in ("SSL_CERT_FILE", "PIP_CERT", "NODE_EXTRA_CA_CERTS")}
    variables = [f"{name}={value}" for name, value in (certificates | {"HOME": "/root"} | stage.env).items()]
    words = ["unshare", "--mount", "sh", "-c", BUILDING, "sh", *variables, "/bin/sh", "-c", command]
    env = os.environ | {"ROOT": str(stage.root), "WORKDIR": stage.workdir}
    subprocess.run(words, env=env, check=True, timeout=STAGE_SECONDS)
