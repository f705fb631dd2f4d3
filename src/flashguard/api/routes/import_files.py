"""Files of sales: CSV and JSON, read into bodies that are checked like those of any other call.

Everything that is wrong is named with its line (CSV) or its place (JSON); then nothing is imported.
"""

import csv
import io
import json
import re
from collections.abc import Iterable
from typing import Any, Final

from msgspec import Struct, field
from pydantic import ValidationError

from flashguard.api.middleware.strict_json import number
from flashguard.api.responses.problems import error_text, shown
from flashguard.api.schemas.sales import SaleBody
from flashguard.shop.imports import MAX_ITEMS, MAX_SALES

MAX_ERRORS: Final = 100
SALE_COLUMNS: Final = {
    "sale": "id", "sale_name": "name", "starts_at": "starts_at", "ends_at": "ends_at",
    "hold_seconds": "hold_seconds", "limit_per_customer": "limit_per_customer",
    "hold_durability": "hold_durability", "spread": "spread",
}  # fmt: skip
"""Columns about the sale: in its first row; in its other rows empty, or the same."""
ITEM_COLUMNS: Final = {
    "sku": "sku", "name": "name", "price_minor": "price_minor", "currency": "currency", "stock": "stock",
}  # fmt: skip
NEEDED: Final = ("sale", "sku", "price_minor", "currency", "stock")
NUMBERS: Final = frozenset({"hold_seconds", "limit_per_customer", "spread", "price_minor", "stock"})


_NUMBER: Final = re.compile(r"[0-9]{1,9}")
MAX_DIGITS: Final = 18
"""Of a number that is read as an integer; a longer one is out of every bound, and is read as a float."""


class Wrong(Exception):
    """The file can't be imported; `errors` says where and what."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        super().__init__("the file can't be imported")
        in_order = sorted(errors, key=lambda error: [int(number) for number in _NUMBER.findall(error[0])])
        self.errors = [{"where": shown(where), "what": shown(what)} for where, what in in_order[:MAX_ERRORS]]


class Sale(Struct):
    """A sale of a file, and where its parts are."""

    where: str
    fields: dict[str, Any]
    items_at: list[str] = field(default_factory=list)
    skus: dict[str, str] = field(default_factory=dict)
    """Where each was met."""
    body: SaleBody | None = None

    def place(self, loc: tuple[int | str, ...]) -> str:
        """Where in the file a field is that pydantic names."""
        if loc[:1] == ("items",) and len(loc) > 1 and isinstance(loc[1], int) and loc[1] < len(self.items_at):
            return ": ".join((self.items_at[loc[1]], *map(str, loc[2:])))
        return ": ".join((self.where, *map(str, loc)))


def read_json(text: str) -> list[Sale]:
    """`{"sales": [...]}` or `[...]`, each as `POST /v1/sales` takes it, with an id.

    Raises:
        Wrong: it is something else.
    """
    try:
        value = json.loads(text, parse_int=_number, parse_float=number)
    except json.JSONDecodeError as error:
        raise Wrong([(f"line {error.lineno}, column {error.colno}", error.msg)]) from error
    except (ValueError, RecursionError) as error:
        raise Wrong([("the file", "is not JSON that can be read")]) from error
    found = value.get("sales") if isinstance(value, dict) else value
    if not isinstance(found, list) or (isinstance(value, dict) and value.keys() != {"sales"}):
        raise Wrong([("the file", 'must be {"sales": [...]}, or a list of sales')])
    wrong = [
        (f"sales[{at}]", "must be an object") for at, sale in enumerate(found) if not isinstance(sale, dict)
    ]
    if wrong:
        raise Wrong(wrong)
    sales = []
    for at, fields in enumerate(found):
        items = fields.get("items")
        places = [f"sales[{at}]: items[{n}]" for n in range(len(items))] if isinstance(items, list) else []
        sales.append(Sale(f"sales[{at}]", fields, places))
    return checked(sales)


def read_csv(text: str) -> list[Sale]:
    """A line per item, with a header; what is about the sale is in the first line of each. Cells stand
    between commas, or between semicolons where the header has those, as many spreadsheets write them.

    Raises:
        Wrong: a line can't be read.
    """
    first = text.lstrip().partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        return checked(_sales_of(reader, header))
    except csv.Error as error:
        raise Wrong([(f"line {reader.line_num}", str(error))]) from error


def _check_header(header: list[str]) -> None:
    known = SALE_COLUMNS.keys() | ITEM_COLUMNS.keys()
    wrong = [f"there is no column {name!r}" for name in header if name not in known]
    wrong += [f"the column {name!r} is there twice" for name in sorted(set(header)) if header.count(name) > 1]
    wrong += [f"the column {name!r} is missing" for name in NEEDED if name not in header]
    if wrong:
        raise Wrong([("line 1", what) for what in wrong])


def _sales_of(reader: Any, header: list[str]) -> list[Sale]:
    sales: dict[str, Sale] = {}
    wrong: list[tuple[str, str]] = []
    for cells in reader:
        where = f"line {reader.line_num}"
        if not any(cell.strip() for cell in cells):
            continue
        if len(cells) != len(header):
            wrong.append((where, f"has {len(cells)} cells, the header {len(header)}"))
            continue
        row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
        about = {
            SALE_COLUMNS[name]: _value(name, cell)
            for name, cell in row.items()
            if name in SALE_COLUMNS and cell
        }
        sale = sales.get(row["sale"])
        if sale is None:
            sale = sales[row["sale"]] = Sale(where, {"name": row["sale"], "items": []} | about)
        else:
            wrong += [
                (where, f"{name} is not that of the sale's first line")
                for name, value in about.items()
                if sale.fields.get(name) != value
            ]
        item = {ITEM_COLUMNS[name]: _value(name, cell) for name, cell in row.items() if name in ITEM_COLUMNS}
        item["name"] = item.get("name") or item["sku"]
        before = sale.skus.setdefault(item["sku"], where)
        if before != where:
            wrong.append((where, f"sku {item['sku']!r} is in {before} already"))
        sale.fields["items"].append(item)
        sale.items_at.append(where)
    if wrong:
        raise Wrong(wrong)
    return list(sales.values())


def _number(digits: str) -> int | float:
    """A number of a JSON file: one of many digits would be refused without its place."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _value(name: str, cell: str) -> Any:
    """A cell as JSON would have it; what is no number stays text, and is refused as such."""
    plain = cell.isascii() and cell.isdigit() and len(cell) <= MAX_DIGITS
    return int(cell) if name in NUMBERS and plain else cell


def checked(sales: list[Sale]) -> list[Sale]:
    """The sales with their valid bodies.

    Raises:
        Wrong: not all of them are valid, or there are too many.
    """
    if not 1 <= len(sales) <= MAX_SALES:
        raise Wrong([("the file", f"has {len(sales)} sales; 1 to {MAX_SALES} are allowed")])
    items = sum(len(sale.items_at) for sale in sales)
    if items > MAX_ITEMS:
        raise Wrong([("the file", f"has {items} items; at most {MAX_ITEMS} are allowed")])
    wrong: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    for sale in sales:
        try:
            sale.body = SaleBody.model_validate_json(json.dumps(sale.fields))
        except (ValidationError, ValueError) as error:
            wrong += _said(sale, error)
            continue
        if sale.body.id is None:
            wrong.append((f"{sale.where}: id", "is needed, so that a second import does not double the sale"))
        elif sale.body.id in first:
            wrong.append((f"{sale.where}: id", f"is that of {first[sale.body.id]}"))
        else:
            first[sale.body.id] = sale.where
        if len(wrong) > MAX_ERRORS:
            break
    if wrong:
        raise Wrong(wrong)
    return sales


def _said(sale: Sale, error: ValueError) -> list[tuple[str, str]]:
    if not isinstance(error, ValidationError):
        return [(sale.where, str(error))]
    return [(sale.place(each["loc"]), error_text(each)) for each in error.errors(include_input=False)]
