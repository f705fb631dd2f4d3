"""`flashguard shadow`: runs beside a shop whose own stock decides, and shows where the two differ."""

from typing import Annotated

import typer

from .output import PlainTable, console_for_tables, print_json, printable
from .remote import Target, path_of, with_target

app = typer.Typer(help="Run beside a shop whose own stock decides, and see where the two differ.")
SaleArgument = Annotated[str, typer.Argument(help="The sale's id.")]


@app.command()
@with_target
def begin(
    sale: SaleArgument,
    *,
    target: Target,
) -> None:
    """Make a draft a shadow: it refuses no buyer and is compared with the shop's own decisions."""
    begun = target.remote().call("POST", path_of("sales", sale, "shadow"))
    if target.as_json:
        print_json(begun)
    else:
        what = f"{printable(sale)} is a shadow since {begun['since']}"
        typer.echo(f"{what}; open it, and send it the shop's decisions.")


@app.command()
@with_target
def report(
    sale: SaleArgument,
    *,
    target: Target,
) -> None:
    """Show where the shop's own stock differed from FlashGuard so far."""
    found = target.remote().call("GET", path_of("sales", sale, "shadow"))
    if target.as_json:
        print_json(found)
        return
    show = console_for_tables().print
    counts = PlainTable("", "FlashGuard sold", "FlashGuard refused")
    counts.add_row("the shop sold", f"{found['both_sold']:,}", f"{found['only_shop_sold']:,}")
    counts.add_row("the shop refused", f"{found['only_flashguard_sold']:,}", f"{found['both_refused']:,}")
    show(counts)
    items = PlainTable("item", "stock", "shop sold", "FlashGuard sold", "oversold by the shop")
    for item in found["items"]:
        figures = (item[name] for name in ("stock", "shop_sold", "flashguard_sold", "shop_oversold"))
        items.add_row(item["sku"], *(f"{units:,}" for units in figures))
    show(items)
    for code, attempts in found["reasons"].items():
        show(f"FlashGuard refused {attempts:,} of the shop's sales: {code}")
    if found["differences"]:
        differences = PlainTable("at", "customer", "shop", "FlashGuard", "the shop's order")
        for each in found["differences"]:
            differences.add_row(
                each["at"], each["customer"], each["shop"], each["ours"], each["reference"] or each["key"]
            )
        show(differences)
