"""What a run came to, for the terminal. Names from AWS are shown as text, never interpreted."""

import json
from collections.abc import Iterator

from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.cli import changes as show_changes
from auditor.cli.changes import STYLES
from auditor.formats.overview import REPORTED, by_severity, overview, verdict, worst
from auditor.formats.stream import ReportStream, Row
from auditor.formats.templates import count, printable
from auditor.model.account import OutcomeKind
from auditor.model.changes import Change
from auditor.model.unknown import DENIED_CODES

_TONES = {"severe": "bold red", "findings": "yellow", "incomplete": "yellow", "clean": "green"}


def show(document: ReportStream, console: Console, *, only_new: bool = False) -> None:
    """Print the verdict, what could not be judged and what changed, and the worst accounts.

    With `only_new` the new findings stand in for the worst accounts.
    """
    coverage, summary = document.coverage(), document.summary()
    told = verdict(run=document.run(), coverage=coverage, summary=summary)
    console.print(Text(f"{told.found}.", style=_TONES[told.tone]))
    console.print(Text(f"{told.looked[:1].upper()}{told.looked[1:]}."))
    accounts = coverage["accounts"]
    outcomes = ("audited", "partial", "unreachable", "skipped")
    console.print(
        Text(
            f"{count(accounts['total'], 'account')} ("
            + ", ".join(f"{accounts[name]} {name}" for name in outcomes if accounts[name])
            + f"), {count(coverage['users'], 'user')}, {count(coverage['keys'], 'key')}"
        )
    )
    if document.run()["source"] == "report":
        console.print(Text(f"{REPORTED}.", style="yellow"))
    for line in _exemptions(document):
        console.print(Text(printable(line)))
    for line in _missed(document):
        console.print(Text(f"! {printable(line)}", style="yellow"))
    changes = document.changes()
    if changes is not None:
        show_changes.show_sum(changes, console)
        if only_new:
            show_changes.show_findings(
                changes, console, run_id=document.run()["id"], only=(Change.NEW,)
            )
            return
    _show_accounts(document, console)


def _missed(document: ReportStream) -> Iterator[str]:
    """Say once for each reason what was not read or not judged, and how to mend it."""
    gaps = document.coverage()["gaps"]
    told = {(gap["operation"], gap["code"]) for gap in gaps}
    for group in overview(document.accounts()).errors:
        if group.outcome == OutcomeKind.SKIPPED or (group.operation, group.code) in told:
            continue
        which = ", ".join(dict.fromkeys(str(subject["account"]) for subject in group.subjects))
        more = ", …" if group.accounts > len(group.subjects) else ""
        yield (
            f"{count(group.accounts, 'account')} {group.outcome} ({which}{more}):"
            f" {group.operation} {group.code}: {group.message}"
        )
        if group.operation == "sts:AssumeRole" and group.code in DENIED_CODES:
            yield "  check the account's id, and that its role exists and trusts the caller"
    for gap in gaps:
        yield str(gap["message"])
        if gap["statement"]:
            yield f"  grant it: {json.dumps(gap['statement'])}"


def _exemptions(document: ReportStream) -> Iterator[str]:
    """Count what is exempt; name the exemptions that ran out and those that cover nothing."""
    exemptions = list(document.exemptions())
    if not exemptions:
        return
    exempt = document.summary()["exempt"]
    yield f"{count(exempt, 'finding')} exempt by {count(len(exemptions), 'exemption')}"
    for one in exemptions:
        told = f"exemption {_where(one)} of {one['policy']} ({one['reason']}; {one['owner']})"
        if one["state"] == "expired":
            yield f"  expired on {one['expires']}: {told}"
        elif one["unread"]:
            yield f"  could not be told for {count(one['unread'], 'finding')}: {told}"
        elif not one["findings"]:
            yield f"  covers nothing: {told}"


def _where(exemption: Row) -> str:
    return ", ".join(f"{name} {value}" for name, value in exemption["where"].items()) or "of all"


def _show_accounts(document: ReportStream, console: Console) -> None:
    counts = document.tally()
    ids = worst(counts)
    if not ids:
        return
    names = {account["id"]: account["name"] for account in document.accounts()}
    table = Table(title="Worst accounts, by open findings", title_justify="left")
    table.add_column("account")
    table.add_column("name", overflow="fold")
    for name, style in STYLES.items():
        table.add_column(name, justify="right", style=style)
    for each in ids:
        numbers = (str(number or "") for _, number in by_severity(counts[each]))
        table.add_row(each, Text(printable(names[each])), *numbers)
    console.print(table)
