"""`flashguard sale create` and `sale edit`: what the API can change about a sale, from the command line."""

from tests.integration.test_cli import new_id
from tests.integration.test_cli import run as run  # a fixture


async def test_a_waiting_room_is_made_changed_and_opened_to_all(run, service):
    host, guest = new_id(), new_id()
    made = (await run(
        "sale", "create", "--id", host, "--name", "Hall", "--item", "seat:5", "--room-mode", "fifo",
        "--admit-per-second", "2.5", "--share-room", "--proof-of-work", "--json",
    )).json()["waiting_room"]  # fmt: skip
    wanted = {"mode": "fifo", "admit_per_second": 2.5, "shared": True, "proof_of_work": True}
    assert {name: made[name] for name in wanted} == wanted
    edited = (await run(
        "sale", "edit", host, "--admit-per-second", "9", "--max-active", "7", "--no-proof-of-work", "--json",
    )).json()["waiting_room"]  # fmt: skip
    assert edited == made | {"admit_per_second": 9, "max_active": 7, "proof_of_work": False}

    await run("sale", "create", "--id", guest, "--name", "Balcony", "--item", "seat:5")
    assert (await run("sale", "edit", guest, "--room", host, "--json")).json()["room"] == host
    gone = (await run("sale", "edit", guest, "--no-room", "--json")).json()
    assert (gone["room"], gone["waiting_room"]) == (None, None)
    own = (await run("sale", "edit", guest, "--room-mode", "lottery", "--json")).json()
    assert (own["waiting_room"]["mode"], own["waiting_room"]["admit_per_second"]) == ("lottery", 50)
    assert (await run("sale", "edit", guest, "--no-room", "--json")).json()["waiting_room"] is None
    opened = (await run("sale", "edit", host, "--open-to-all", "--json")).json()
    assert opened["waiting_room"]["open_to_all"] is True
    wrong = await run("sale", "edit", host, "--no-room", "--max-active", "3")
    assert (wrong.code, "--no-room" in wrong.err) == (1, True)


async def test_edit_sets_and_clears_every_rule_and_takes_a_file(run, service, tmp_path):
    sale = new_id()
    await run("sale", "create", "--id", sale, "--name", "Rules", "--item", "shoe:5")
    options = {
        "limit": 4, "max-held": 3, "cool-down": 60, "cool-down-after": 2, "waiting-list": 9,
        "waiting-list-hold": 30,
    }  # fmt: skip
    times = {"starts-at": "2031-01-01T10:00:00Z", "ends-at": "2031-01-02T10:00:00Z"}
    words = [word for name, value in (options | times).items() for word in (f"--{name}", str(value))]
    (tmp_path / "changes.json").write_text('{"hold_durability": "ledger", "name": "In a file"}')
    edited = (await run(
        "sale", "edit", sale, *words, "--file", "changes.json", "--name", "Beside it", "--json",
    )).json()  # fmt: skip
    fields = (
        "limit_per_customer", "max_held_per_customer", "cool_down_seconds", "cool_down_after", "waiting_list",
        "waiting_list_hold_seconds", "starts_at", "ends_at",
    )  # fmt: skip
    assert [edited[field] for field in fields] == [*options.values(), *times.values()]
    assert (edited["hold_durability"], edited["name"]) == ("ledger", "Beside it")
    cleared = (await run(
        "sale", "edit", sale, *(word for name in (*options, *times) for word in ("--clear", name)), "--json",
    )).json()  # fmt: skip
    assert [cleared[field] for field in fields] == [None] * len(fields)
    both = await run("sale", "edit", sale, "--limit", "2", "--clear", "limit")
    assert (both.code, "limit_per_customer" in both.err) == (1, True)
