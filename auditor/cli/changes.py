"""What changed between two runs, for the terminal. Names from AWS are shown as text."""

from collections.abc import Collection

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.formats import changes as compare
from auditor.formats.changes import TITLES, Listing
from auditor.formats.stream import ChangesStream
from auditor.formats.templates import count, printable

STYLES = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}
"""Of severities."""


def show_sum(changes: ChangesStream, console: Console) -> None:
    """Print in a few lines what changed, and what can't be compared."""
    new = any(changes.summary()["new"].values())
    console.print(Text(printable(f"{compare.sentence(changes)}."), style="bold" if new else ""))
    for line in compare.caveats(changes):
        console.print(Text(f"! {printable(line)}", style="yellow"))


def show_findings(
    changes: ChangesStream,
    console: Console,
    *,
    run_id: str,
    only: Collection[str] = tuple(TITLES),
) -> None:
    """Print a table for each kind of change that there is, the gravest findings first."""
    for name, listing in compare.findings(changes).items():
        if not listing.total or name not in only:
            continue
        table = _table(f"{TITLES[name]}: {count(listing.total, 'finding')}")
        table.add_column("severity")
        for heading in ("account", "user", "key", "rule", "finding"):
            table.add_column(heading, overflow="fold", no_wrap=heading in {"account", "key"})
        for row in listing.rows:
            cells = (row["account_id"], row["user_name"], row["access_key_id"], row["rule_id"])
            table.add_row(
                Text(row["severity"], style=STYLES[row["severity"]]),
                *(Text(printable(cell)) for cell in cells),
                Text(printable(compare.what(row))),
            )
        _print(table, listing, console, _all_of(changes, run_id))


def show_keys(changes: ChangesStream, console: Console, *, run_id: str) -> None:
    """Print which keys came, went and changed."""
    listing = compare.first(changes.keys())
    if not listing.total:
        return
    table = _table(f"Keys: {compare.keys_told(changes)}")
    for heading in ("account", "user", "key", "change"):
        table.add_column(heading, overflow="fold", no_wrap=heading in {"account", "key"})
    for row in listing.rows:
        key = row["access_key_id"] or f"slot {row['slot']}"
        cells = (row["account_id"], row["user_name"], key, compare.key_change(row))
        table.add_row(*(Text(printable(cell)) for cell in cells))
    _print(table, listing, console, _all_of(changes, run_id))


def show_accounts(changes: ChangesStream, console: Console, *, run_id: str) -> None:
    """Print which accounts were read further, or less far."""
    listing = compare.first(changes.accounts())
    if not listing.total:
        return
    table = _table(f"{count(listing.total, 'account')} looked at otherwise")
    for heading in ("account", "name", "then", "now"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "account")
    for row in listing.rows:
        outcomes = (compare.outcome(row[name]) for name in ("before", "after"))
        cells = (row["id"], row["name"], *outcomes)
        style = "yellow" if row["worse"] else ""
        table.add_row(*(Text(printable(cell)) for cell in cells), style=style)
    _print(table, listing, console, _all_of(changes, run_id))


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", title_style="bold")


def _all_of(changes: ChangesStream, run_id: str) -> str:
    """Return the command that lists all, of these two runs whatever is scanned since."""
    return f"iamaudit diff {changes.baseline()['id']} {run_id} --format json"


def _print(table: Table, listing: Listing, console: Console, all_of: str) -> None:
    console.print(table)
    if listing.more:
        more = f"and {listing.more:,} more; {all_of} lists all"
        console.print(Text(printable(more)), soft_wrap=True)
