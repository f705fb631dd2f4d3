"""Reads CSV and JSON files of sales into bodies that are checked like those of any other call.

Every error names its line (CSV) or its path (JSON). A file with an error imports nothing.
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
"""Columns about the sale: filled in its first row; empty or equal in its other rows."""
ITEM_COLUMNS: Final = {
    "sku": "sku", "name": "name", "price_minor": "price_minor", "currency": "currency", "stock": "stock",
    "uses": "uses", "stock_by_location": "stock_by_location", "item_limit": "limit_per_customer",
}  # fmt: skip
POOL: Final = "pool"
"""The column of a pool's id. A line that has one is about that pool, and needs a stock only."""
LOCATION: Final = "location"
"""The column of a location's id. A line that has one is about that location, and needs nothing else."""
NEEDED: Final = ("sale", "sku", "price_minor", "currency", "stock")
NO_POOL_HAS: Final = ("sku", "price_minor", "currency", "uses", "stock_by_location", "item_limit")
NO_LOCATION_HAS: Final = (*NO_POOL_HAS, "stock", POOL)
USE: Final = re.compile(r"(.*?)(?::([0-9]{1,18}))?")
"""A pool, and how many units of it an item draws, 1 where it does not say; or a location and a stock."""
NUMBERS: Final = frozenset(
    {"hold_seconds", "limit_per_customer", "spread", "price_minor", "stock", "item_limit"}
)


_NUMBER: Final = re.compile(r"[0-9]{1,9}")
MAX_DIGITS: Final = 18
"""Digits of a number that is read as an integer. A longer one exceeds every bound and is read as a float."""


class InvalidFile(Exception):
    """The file can't be imported; `errors` says where and why."""

    def __init__(self, errors: Iterable[tuple[str, str]]) -> None:
        super().__init__("the file can't be imported")
        in_order = sorted(errors, key=lambda error: [int(number) for number in _NUMBER.findall(error[0])])
        self.errors = [{"where": shown(where), "what": shown(what)} for where, what in in_order[:MAX_ERRORS]]


class SaleInFile(Struct):
    """A sale of a file, and the places of its fields in the file."""

    where: str
    fields: dict[str, Any]
    items_at: list[str] = field(default_factory=list)
    pools_at: list[str] = field(default_factory=list)
    locations_at: list[str] = field(default_factory=list)
    skus: dict[str, str] = field(default_factory=dict)
    """By sku: the place of its first line."""
    body: SaleBody | None = None

    def place(self, loc: tuple[int | str, ...]) -> str:
        """Return the place in the file of a field that pydantic names."""
        of = {"items": self.items_at, "pools": self.pools_at, "locations": self.locations_at}
        places = of.get(str(loc[0]), []) if loc else []
        if len(loc) > 1 and isinstance(loc[1], int) and loc[1] < len(places):
            return ": ".join((places[loc[1]], *map(str, loc[2:])))
        return ": ".join((self.where, *map(str, loc)))


def read_json(text: str) -> list[SaleInFile]:
    """Return the sales of `{"sales": [...]}` or `[...]`, each in the form of `POST /v1/sales`, with an id.

    Raises:
        InvalidFile: the text has another form.
    """
    try:
        value = json.loads(text, parse_int=_number, parse_float=number)
    except json.JSONDecodeError as error:
        raise InvalidFile([(f"line {error.lineno}, column {error.colno}", error.msg)]) from error
    except (ValueError, RecursionError) as error:
        raise InvalidFile([("the file", "is not readable JSON")]) from error
    found = value.get("sales") if isinstance(value, dict) else value
    if not isinstance(found, list) or (isinstance(value, dict) and value.keys() != {"sales"}):
        raise InvalidFile([("the file", 'must be {"sales": [...]}, or a list of sales')])
    wrong = [
        (f"sales[{at}]", "must be an object") for at, sale in enumerate(found) if not isinstance(sale, dict)
    ]
    if wrong:
        raise InvalidFile(wrong)
    sales = []
    for at, fields in enumerate(found):
        items = fields.get("items")
        places = [f"sales[{at}]: items[{n}]" for n in range(len(items))] if isinstance(items, list) else []
        sales.append(SaleInFile(f"sales[{at}]", fields, places))
    return checked(sales)


def read_csv(text: str) -> list[SaleInFile]:
    """Return the sales of a CSV file: a header, then a line per item; a sale's own columns are filled in its
    first line. Cells are separated by commas, or by semicolons if the header has more of those, as many
    spreadsheets write them.

    Raises:
        InvalidFile: a line can't be read.
    """
    first = text.lstrip().partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=delimiter)
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        _check_header(header)
        return checked(_sales_of(reader, header))
    except csv.Error as error:
        raise InvalidFile([(f"line {reader.line_num}", str(error))]) from error


def _check_header(header: list[str]) -> None:
    known = SALE_COLUMNS.keys() | ITEM_COLUMNS.keys() | {POOL, LOCATION}
    wrong = [f"unknown column {name!r}" for name in header if name not in known]
    wrong += [f"the column {name!r} appears twice" for name in sorted(set(header)) if header.count(name) > 1]
    wrong += [f"the column {name!r} is missing" for name in NEEDED if name not in header]
    if wrong:
        raise InvalidFile([("line 1", what) for what in wrong])


def _sales_of(reader: Any, header: list[str]) -> list[SaleInFile]:
    sales: dict[str, SaleInFile] = {}
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
            sale = sales[row["sale"]] = SaleInFile(where, {"name": row["sale"], "items": []} | about)
        else:
            wrong += [
                (where, f"{name} differs from the sale's first line")
                for name, value in about.items()
                if sale.fields.get(name) != value
            ]
        if row.get(LOCATION):
            wrong += [(where, f"{name}: a location has none") for name in NO_LOCATION_HAS if row.get(name)]
            place = {"id": row[LOCATION], "name": row.get("name") or row[LOCATION]}
            sale.fields.setdefault("locations", []).append(place)
            sale.locations_at.append(where)
            continue
        if row.get(POOL):
            wrong += [(where, f"{name}: a pool has none") for name in NO_POOL_HAS if row.get(name)]
            name, stock = row.get("name") or row[POOL], _value("stock", row["stock"])
            sale.fields.setdefault("pools", []).append({"id": row[POOL], "name": name, "stock": stock})
            sale.pools_at.append(where)
            continue
        item = {ITEM_COLUMNS[name]: _value(name, cell) for name, cell in row.items() if name in ITEM_COLUMNS}
        item["name"] = item.get("name") or item["sku"]
        if not item.get("limit_per_customer"):
            item.pop("limit_per_customer", None)
        uses, places = item.pop("uses", ""), item.pop("stock_by_location", "")
        if uses:
            item["uses"] = [{"pool": pool, "quantity": 1 if n is None else n} for pool, n in _parts(uses)]
        if places:
            item["stock_by_location"] = {place: "" if n is None else n for place, n in _parts(places)}
        if (uses or places) and not row["stock"]:
            del item["stock"]
        before = sale.skus.setdefault(item["sku"], where)
        if before != where:
            wrong.append((where, f"sku {item['sku']!r} is already in {before}"))
        sale.fields["items"].append(item)
        sale.items_at.append(where)
    if wrong:
        raise InvalidFile(wrong)
    return list(sales.values())


def _parts(cell: str) -> list[tuple[str, int | None]]:
    """Return the names and numbers of `friday|saturday:2`; None where there is no number."""
    found = [USE.fullmatch(part.strip()) for part in cell.split("|")]
    return [(use[1], int(use[2]) if use[2] else None) for use in found if use]


def _number(digits: str) -> int | float:
    """Return a number of a JSON file. An integer of too many digits would fail without naming its place."""
    return int(digits) if len(digits) <= MAX_DIGITS else float(digits)


def _value(name: str, cell: str) -> Any:
    """Return a cell as its JSON value. Text in a column of numbers stays text, which validation then
    refuses."""
    plain = cell.isascii() and cell.isdigit() and len(cell) <= MAX_DIGITS
    return int(cell) if name in NUMBERS and plain else cell


def checked(sales: list[SaleInFile]) -> list[SaleInFile]:
    """Return the sales with their validated bodies.

    Raises:
        InvalidFile: a sale is not valid, or there are too many.
    """
    if not 1 <= len(sales) <= MAX_SALES:
        raise InvalidFile([("the file", f"has {len(sales)} sales; 1 to {MAX_SALES} are allowed")])
    items = sum(len(sale.items_at) for sale in sales)
    if items > MAX_ITEMS:
        raise InvalidFile([("the file", f"has {items} items; at most {MAX_ITEMS} are allowed")])
    wrong: list[tuple[str, str]] = []
    first: dict[str, str] = {}
    for sale in sales:
        try:
            sale.body = SaleBody.model_validate_json(json.dumps(sale.fields))
        except (ValidationError, ValueError) as error:
            wrong += _errors_of(sale, error)
            continue
        if sale.body.id is None:
            wrong.append(
                (f"{sale.where}: id", "is required, so that a second import does not duplicate the sale")
            )
        elif sale.body.id in first:
            wrong.append((f"{sale.where}: id", f"is also the id of {first[sale.body.id]}"))
        else:
            first[sale.body.id] = sale.where
        if len(wrong) > MAX_ERRORS:
            break
    if wrong:
        raise InvalidFile(wrong)
    return sales


def _errors_of(sale: SaleInFile, error: ValueError) -> list[tuple[str, str]]:
    if not isinstance(error, ValidationError):
        return [(sale.where, str(error))]
    return [(sale.place(each["loc"]), error_text(each)) for each in error.errors(include_input=False)]
