"""`iamaudit policy list|show|check|explain|test`: the policies, before and after they judge."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from auditor.cli import options as given
from auditor.cli.exits import ExitCode
from auditor.config import parse_instant
from auditor.formats.templates import count, printable
from auditor.model.identity import ROOT_USER_NAME
from auditor.policy.cases import word
from auditor.policy.compiled import CompiledPolicy
from auditor.policy.explain import Explained, Explanation, Told, shown
from auditor.store.output import LATEST, STORE
from auditor.wiring.cases import Tried, try_cases
from auditor.wiring.clock import SystemClock
from auditor.wiring.explain import ExplainedKey, explain_key
from auditor.wiring.policies import check_policies, load_policies, pack_names, policy_source

policy = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="The shipped policies and your own: list, show, check, explain, test.",
)
Names = Annotated[list[str], typer.Argument(metavar="NAME|FILE…", help="packs of ours, or files")]
_STYLES = {"violation": "red", "indeterminate": "yellow", "exempt": "cyan", "pass": "green"}


@policy.command("list")
def list_() -> None:
    """List the packs that we ship."""
    table = Table(box=None, pad_edge=False)
    for heading in ("pack", "rules", "controls", "title"):
        table.add_column(heading, justify="right" if heading in {"rules", "controls"} else "left")
    for name in pack_names():
        [pack] = load_policies([name])
        controls = {control for rule in pack.rules for control in rule.controls}
        table.add_row(name, str(len(pack.rules)), str(len(controls)), pack.stamp.title)
    Console().print(table)


@policy.command()
def show(
    names: Names,
    *,
    source: Annotated[
        bool, typer.Option("--source", help="print the YAML as written, to start from")
    ] = False,
) -> None:
    """Show what policies say, with all that they inherit."""
    for name in names:
        if source:
            typer.echo(policy_source(name).text, nl=False)
        else:
            for line in _shown(load_policies([name])[0]):
                typer.echo(printable_lines(line))


@policy.command()
def check(files: Names) -> None:
    """Check policy files, each by itself; name every mistake with its place and exit with 2.

    Each is tried on synthetic keys as well: what fails for ordinary users is a mistake, what may
    fail for some is a warning.
    """
    now = SystemClock().now()
    for name, found in zip(files, check_policies(files, now=now), strict=True):
        checked = found.policy
        parts = [count(len(checked.rules), "rule"), count(len(checked.exemptions), "exemption")]
        expired = sum(each.ends_at <= now for each in checked.exemptions)
        if expired:
            parts[1] += f" ({expired} expired)"
        parts.append(count(len(found.warnings), "warning") if found.warnings else "no mistakes")
        typer.echo(f"{printable(name)}: {', '.join(parts)}")
        for warning in found.warnings:
            typer.echo(f"  warning: {printable(warning)}", err=True)
        for each in checked.exemptions:
            if not each.where:
                typer.echo(f"  exemption {each.position + 1} exempts every key", err=True)


@policy.command()
def explain(
    key: Annotated[
        str, typer.Argument(metavar="KEY", help="access key id, or ACCOUNT/USER for a user's keys")
    ],
    *,
    run: given.RunName = LATEST,
    store: given.Store = None,
    policy: Annotated[list[str], given.REJUDGE] = [],
    now: given.Now = None,
    output: given.OutputFolder = Path("reports"),
) -> None:
    """Explain each rule's verdict on a key of a stored run: parts, facts, and what decided."""
    at = None if now is None else parse_instant(now)
    stored, judged_at, keys = explain_key(
        store or output / STORE, run, key, policies=policy, now=at
    )
    console = Console()
    for each in keys:
        for line in _explained(each, run_id=stored.id, now=judged_at):
            console.print(line, soft_wrap=True)


@policy.command("test")
def try_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="files of cases (YAML)")],
    *,
    now: given.Now = None,
) -> None:
    """Judge cases of your own, facts in and verdicts out; exit with 1 where one fails."""
    at = SystemClock().now() if now is None else parse_instant(now)
    tried = [each for file in files for each in try_cases(file, now=at)]
    failed = [each for each in tried if each.differences]
    console = Console()
    for each in failed:
        for line in _difference(each):
            console.print(line, soft_wrap=True)
    console.print(
        Text(
            f"{count(len(tried), 'case')}, {len(failed)} failed",
            style="red" if failed else "green",
        )
    )
    raise typer.Exit(ExitCode.FINDINGS if failed else ExitCode.CLEAN)


def printable_lines(text: str) -> str:
    """Return text of several lines in which nothing else is hidden."""
    return "\n".join(printable(line) for line in text.splitlines())


def _shown(shown_policy: CompiledPolicy) -> Iterator[str]:
    stamp = shown_policy.stamp
    yield f"{stamp.id}: {stamp.title}"
    yield f"sha256 {stamp.sha256}"
    if shown_policy.description:
        yield f"\n{shown_policy.description.strip()}"
    if stamp.params:
        yield "\nparameters"
        yield from (f"  {name}: {value}" for name, value in stamp.params.items())
    if shown_policy.classes:
        yield "\nclasses, the first that matches; root before them, machine for the rest"
        yield from (f"  {each.name}: {_one_line(each.when.text)}" for each in shown_policy.classes)
    yield "\nrules"
    for rule in shown_policy.rules:
        yield f"  {rule.id} ({rule.severity}, remedy {rule.remedy}): {rule.title}"
        yield f"    {_one_line(rule.when.text)}"
        own = {
            name: values for name, values in rule.values.items() if values != rule.values["machine"]
        }
        for name, values in own.items():
            told = (
                f"{param.removeprefix('params.')} {shown(value)}" for param, value in values.items()
            )
            yield f"    {name}: {', '.join(told)}"
        if rule.controls:
            yield f"    controls {', '.join(rule.controls)}"
    if shown_policy.exemptions:
        yield "\nexemptions"
    for each in shown_policy.exemptions:
        where = ", ".join(f"{name} {value}" for name, value in each.where.items()) or "every key"
        rules = "every rule" if each.rules is None else ", ".join(sorted(each.rules))
        yield f"  {where} from {rules} until {each.expires} ({each.reason}; {each.owner})"


def _explained(key: ExplainedKey, *, run_id: str, now: datetime) -> Iterator[Text]:
    case = key.case
    name = case.key.id or f"root key {case.key.slot}"
    account = (
        case.account.id if case.account.name is None else f"{case.account.id} ({case.account.name})"
    )
    owner = "the root user" if case.identity.name == ROOT_USER_NAME else case.identity.name
    yield Text(printable(f"{name} ({case.key.status}) of {owner} in {account}"), style="bold")
    yield Text(f"run {run_id}, judged at {shown(now)}", style="dim")
    for its_policy, explained in key.policies:
        yield Text(printable(f"policy {its_policy.stamp.id}, {_class(explained)}"), style="dim")
        for rule in explained.rules:
            yield Text()
            yield from _rule(rule)
    yield Text()


def _class(explained: Explained) -> str:
    told = f"class {' or '.join(explained.classes)}"
    unknown = explained.class_unknown
    return told if unknown is None or len(explained.classes) == 1 else f"{told} ({unknown.reason})"


def _rule(rule: Explanation) -> Iterator[Text]:
    verdict = rule.verdict
    said = word(verdict)
    line = Text.assemble(
        (verdict.rule.id, "bold"),
        ": ",
        (said, _STYLES[said]),
        printable(f" ({verdict.rule.severity}) {verdict.title}"),
    )
    yield line
    if verdict.exemption is not None:
        yield Text(
            printable(
                f"  exempt until {verdict.exemption.expires}: {verdict.exemption.reason}"
                f" ({verdict.exemption.owner})"
            )
        )
    if verdict.unread is not None:
        yield Text(printable(f"  may be exempt ({verdict.unread.reason}), which could not be told"))
    told = list(rule.parts.items())
    same = all(parts == told[0][1] for _, parts in told)
    for name, parts in told[:1] if same else told:
        if not same:
            yield Text(f"  as {name}")
        yield from (_part(part) for part in parts)


def _part(part: Told) -> Text:
    facts = "; ".join(f"{name} = {value}" for name, value in part.facts.items())
    line = Text(f"  {'>' if part.decides else ' '} {'  ' * part.depth}")
    line.append(f"{part.value:7} ", style="bold" if part.decides else "dim")
    line.append(printable(part.text))
    if facts:
        line.append(printable(f"    {facts}"), style="dim")
    return line


def _difference(tried: Tried) -> Iterator[Text]:
    yield Text(printable(f"FAIL {tried.case.name} ({tried.case.place})"), style="bold red")
    reasons = {rule.verdict.rule.id: rule for policy in tried.explained for rule in policy.rules}
    for each in tried.differences:
        yield Text(printable(f"  - {each.what}: {each.expected}"), style="red")
        yield Text(printable(f"  + {each.what}: {each.found}"), style="green")
        if each.what in reasons:
            yield from (Text("    ").append(_part(part)) for part in _first(reasons[each.what]))


def _first(rule: Explanation) -> Sequence[Told]:
    return next(iter(rule.parts.values()))


def _one_line(text: str) -> str:
    return " ".join(text.split())
