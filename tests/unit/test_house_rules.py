"""What CONTRIBUTING.md promises of the code: SQL in .sql files, key names in one table."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[2] / "src" / "flashguard"
STATEMENT = re.compile(
    r"^\s*(SELECT\s|INSERT\s+INTO\s|UPDATE\s+\S+\s+SET\s|DELETE\s+FROM\s|WITH\s+\S+\s+AS\s|(CREATE|ALTER|DROP)\s+[A-Z]+\s)"
)


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


def test_no_key_is_spelled_outside_its_table() -> None:
    for path in sorted(SOURCE.rglob("*.py")):
        if path != SOURCE / "kernel" / "keys.py":
            for line, text in strings(path):
                assert not re.match(r"fg:|\{\}:(sale|used|journal|deadlines)", text), f"{path}:{line}: {text}"


def test_the_rules_notice() -> None:
    assert STATEMENT.match("SELECT 1")
    assert STATEMENT.match("\n  UPDATE items SET sold = 1")
    assert not STATEMENT.match("Select a sale")
