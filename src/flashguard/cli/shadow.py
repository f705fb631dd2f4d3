"""`flashguard shadow`: run beside a shop whose own stock decides, and see where the two differ."""

from typing import Annotated

import typer
from rich.table import Table

from flashguard.cli.remote import (
    DirOption,
    JsonOption,
    KeyOption,
    Remote,
    UrlOption,
    console_for_tables,
    print_json,
)

app = typer.Typer(help="Run beside a shop whose own stock decides, and see where the two differ.")
SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]


@app.command()
def begin(
    sale: SaleArgument,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Have a draft be a shadow: it refuses nobody, and is compared with what the shop tells."""
    begun = Remote(url, admin_key, data_dir).call("POST", f"/v1/sales/{sale}/shadow")
    if as_json:
        print_json(begun)
    else:
        typer.echo(f"{sale} is a shadow since {begun['since']}; open it, and tell it what the shop decides.")


@app.command()
def report(
    sale: SaleArgument,
    as_json: JsonOption = False,
    url: UrlOption = None,
    admin_key: KeyOption = None,
    data_dir: DirOption = None,
) -> None:
    """Show where the shop's own stock differed from FlashGuard so far."""
    found = Remote(url, admin_key, data_dir).call("GET", f"/v1/sales/{sale}/shadow")
    if as_json:
        print_json(found)
        return
    show = console_for_tables().print
    counts = Table("", "FlashGuard sold", "FlashGuard refused")
    counts.add_row("the shop sold", f"{found['both_sold']:,}", f"{found['only_shop_sold']:,}")
    counts.add_row("the shop refused", f"{found['only_flashguard_sold']:,}", f"{found['both_refused']:,}")
    show(counts)
    items = Table("item", "stock", "shop sold", "FlashGuard sold", "oversold by the shop")
    for item in found["items"]:
        figures = (item[name] for name in ("stock", "shop_sold", "flashguard_sold", "shop_oversold"))
        items.add_row(item["sku"], *(f"{units:,}" for units in figures))
    show(items)
    for code, attempts in found["reasons"].items():
        show(f"FlashGuard refused {attempts:,} of the shop's sales: {code}")
    if found["differences"]:
        differences = Table("at", "customer", "shop", "FlashGuard", "the shop's order")
        for each in found["differences"]:
            differences.add_row(
                each["at"], each["customer"], each["shop"], each["ours"], each["reference"] or each["key"]
            )
        show(differences)
