"""What CONTRIBUTING.md promises of the code: SQL in .sql files, run by ledger/ alone; key names in one table;
no long files; one class per name; a bound for every cache."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from flashguard.ledger import sql

SOURCE = Path(__file__).parents[2] / "src" / "flashguard"
STATEMENT = re.compile(
    r"^\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\S+\s+AS\s|(CREATE|ALTER|DROP)\s+[A-Z]+\s)"
)

CACHED_WITHOUT_BOUND = {"requires", "all_queries", "script_source", "sql", "lua"}
"""Functions whose arguments are names in our own code."""
LINES_MOST = 350
DEMANDED = {"Command", "Migration"}
"""Names of classes that Django looks for in files of its own."""
TABLES = {"engine/unicode_tables.py"}
"""Written by a program from Unicode's data: one character set per line."""


def strings(path: Path) -> Iterator[tuple[int, str]]:
    """Every string of a Python file, with the line it starts on; the pieces of an f-string joined."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            pieces = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
            yield node.lineno, "".join(map(str, pieces))


def test_no_python_file_holds_sql_longer_than_a_line() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        for line, text in strings(path):
            long = "\n" in text.strip() or len(text) > 100
            assert not (long and STATEMENT.match(text)), f"{path}:{line}"


def queries(source: str) -> Iterator[int]:
    """The lines on which a Python file asks for a named query."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            name = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            if name == "query":
                yield node.lineno


def test_only_the_ledger_runs_queries() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if path.relative_to(SOURCE).parts[0] != "ledger":
            for line in queries(path.read_text()):
                raise AssertionError(f"{path}:{line}: give it a function with a name in ledger/")


def test_a_statement_stands_in_the_file_of_a_module_that_runs_it() -> None:
    modules = {path.stem: {text for _, text in strings(path)} for path in (SOURCE / "ledger").glob("*.py")}
    found = [
        (path.stem, name) for path in sql.FOLDER.glob("*.sql") for name in sql.NAME.findall(path.read_text())
    ]
    assert len(found) == len(sql.all_queries())
    for file, name in found:
        assert name in modules.get(file, ()), f"{file}.py does not run {name} of queries/{file}.sql"


def test_no_python_file_is_long() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        lines = len(path.read_text().splitlines())
        if path.relative_to(SOURCE).as_posix() not in TABLES:
            assert lines <= LINES_MOST, f"{path} has {lines} lines: look for the second thing in it"


def test_the_facade_stays_one() -> None:
    assert len((SOURCE / "guard.py").read_text().splitlines()) < 200, "policy belongs to the rooms below"


def classes(source: str) -> Iterator[str]:
    """The names of the classes at the top of a Python file."""
    yield from (node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef))


def test_a_name_is_that_of_one_class() -> None:
    found: dict[str, Path] = {}
    for path in sorted(SOURCE.rglob("*.py")):
        for name in set(classes(path.read_text())) - DEMANDED:
            other = found.setdefault(name.lstrip("_"), path)
            assert other == path, f"class {name} is in {other} and in {path}"


def test_no_key_is_spelled_outside_its_table() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if path != SOURCE / "kernel" / "keys.py":
            for line, text in strings(path):
                assert not re.match(r"fg:|\{\}:(sale|used|journal|deadlines)", text), f"{path}:{line}: {text}"


def unbounded_caches(source: str) -> Iterator[str]:
    """Each function with a cache that no number bounds."""
    for node in ast.walk(ast.parse(source)):
        for by in getattr(node, "decorator_list", ()):
            text = ast.unparse(by)
            if "cache" in text and not re.search(r"cache\((maxsize=)?\d", text):
                yield node.name  # type: ignore[attr-defined]


def test_every_cache_has_a_bound() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        assert set(unbounded_caches(path.read_text())) <= CACHED_WITHOUT_BOUND, path


def test_the_rules_notice() -> None:
    for bad in ("cache", "lru_cache", "functools.lru_cache(maxsize=None)", "functools.cache"):
        assert list(unbounded_caches(f"@{bad}\ndef f(): ...")) == ["f"]
    assert not list(unbounded_caches("@lru_cache(maxsize=4)\ndef f(): ..."))
    assert list(queries("await connection.fetch(query('position'), 1)")) == [1]
    assert list(queries("a = 1\nsql.query('position')")) == [2]
    assert not list(queries("self.queries(1)"))
    assert list(classes("class A:\n    class B: pass\nclass C(A): pass")) == ["A", "C"]
    assert STATEMENT.match("SELECT 1")
    assert STATEMENT.match("\n  UPDATE items SET sold = 1")
    assert not STATEMENT.match("Select a sale")
