"""`scripts/need` installs a missing program as root, else says one sentence; it fails only when told to."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEED = ROOT / "scripts" / "need"
ASKED = [
    name
    for line in re.findall(r"scripts/need (.*)", (ROOT / "Makefile").read_text())
    for name in line.split()
    if not name.startswith("-")
]
"""The programs that the Makefile asks for."""


class Machine:
    """A PATH with nothing but `id`, an `apt-get` that installs wrk, and what the test adds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def has(self, program: str, text: str = "") -> None:
        path = self.folder / program
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def need(self, *arguments: str) -> tuple[int, str]:
        done = subprocess.run(
            ["/bin/sh", NEED, *arguments],
            env={"PATH": str(self.folder)}, capture_output=True, text=True, check=False,
        )  # fmt: skip
        return done.returncode, done.stdout

    @property
    def installed(self) -> list[str]:
        log = self.folder / "log"
        return log.read_text().splitlines() if log.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.has("id", "echo 1000")
    machine.has("apt-get", f'echo "$@" >>{tmp_path}/log; echo >{tmp_path}/wrk; /bin/chmod +x {tmp_path}/wrk')
    return machine


def test_a_program_that_is_there_is_neither_installed_nor_mentioned(machine: Machine) -> None:
    machine.has("wrk")
    machine.has("id", "echo 0")
    assert machine.need("wrk") == (0, "")
    assert machine.installed == []


def test_root_installs_a_missing_program(machine: Machine) -> None:
    machine.has("id", "echo 0")
    assert machine.need("wrk") == (0, "")
    assert machine.installed == ["update -qq", "install -y -qq wrk"]


def test_another_user_reads_one_sentence_and_nothing_fails(machine: Machine) -> None:
    code, said = machine.need("wrk")
    assert code == 0
    assert said.count("\n") == 1
    assert said.startswith("There is no wrk here: ")
    assert "sudo apt-get install wrk" in said
    assert machine.installed == []


def test_an_installation_that_fails_is_no_error_either(machine: Machine) -> None:
    machine.has("id", "echo 0")
    machine.has("apt-get", "exit 100")
    code, said = machine.need("wrk")
    assert (code, said.count("\n")) == (0, 1)


def test_a_target_that_can_do_nothing_without_the_program_stops(machine: Machine) -> None:
    assert machine.need("--or-stop", "wrk")[0] == 1


def test_all_missing_programs_are_named(machine: Machine) -> None:
    code, said = machine.need("wrk", "spin")
    assert (code, said.count("There is no ")) == (0, 2)


def test_every_program_that_the_makefile_asks_for_is_known(machine: Machine) -> None:
    assert len(ASKED) > 8
    assert machine.need(*ASKED)[0] == 0
    assert machine.need("no-such-program")[0] == 2
