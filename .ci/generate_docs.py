"""Write the blocks of the documents that the code knows better, or check that they are right.

A block stands between `<!-- begin NAME -->` and `<!-- end NAME -->`.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from auditor.aws.permissions import Purpose, least
from auditor.aws.permissions import policy_document as iam_policy
from auditor.cli.exits import ExitCode
from auditor.policy import cases
from auditor.policy import document as policy_document
from auditor.policy.catalogue import FACTS
from auditor.wiring.policies import load_policies, pack_names

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = ("README.md", "docs/policies.md", "docs/remediation.md")

MEANINGS = {
    ExitCode.CLEAN: "no open finding at or above `--fail-on`",
    ExitCode.FINDINGS: "open findings at or above `--fail-on` (default `low`)",
    ExitCode.USAGE: "wrong usage or configuration",
    ExitCode.INCOMPLETE: "some account was not read whole, or some key could not be judged",
    ExitCode.NOTHING: "nothing could be audited, or not all of a plan was applied",
    ExitCode.INTERRUPTED: "interrupted; what was read is kept (`scan --resume` goes on)",
}


def exit_codes() -> str:
    rows = [f"| {int(code)} | {MEANINGS[code]} |" for code in ExitCode]
    return "\n".join(["| code | meaning |", "|---|---|", *rows])


def rules() -> str:
    [policy] = load_policies(["baseline"])
    rows = [
        f"| `{rule.id}` | {rule.severity} | `{' '.join(rule.when.text.split())}` | {rule.remedy} |"
        for rule in policy.rules
    ]
    head = ["| rule | severity | condition | remedy |", "|---|---|---|---|"]
    params = ", ".join(f"`{name}` {value}" for name, value in policy.stamp.params.items())
    return "\n".join(
        [*head, *(row.replace("||", "\\|\\|") for row in rows), "", f"Parameters: {params}."]
    )


def read_policy() -> str:
    return _json(iam_policy(least(Purpose.ENRICH)))


def write_policy() -> str:
    return _json(iam_policy(least(Purpose.ROTATE)))


def caller_policy() -> str:
    return _json(iam_policy(least(Purpose.CALLER, role_names=("iamaudit-read",))))


def facts() -> str:
    rows = [
        f"| `{name}` | {fact.type.value} | {fact.meaning} | {_code(fact.source)} |"
        f" {fact.unknown_when} |"
        for name, fact in FACTS.items()
    ]
    head = "| fact | type | meaning | told by | unknown when |"
    return "\n".join([head, "|---|---|---|---|---|", *rows])


def _code(source: str) -> str:
    return f"`{source}`" if ":" in source else source


def scan_help() -> str:
    told = subprocess.run(
        [Path(sys.executable).with_name("iamaudit"), "scan", "--help"],
        env=os.environ | {"COLUMNS": "110", "TERM": "dumb", "NO_COLOR": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    return "```text\n" + "\n".join(line.rstrip() for line in told.strip().splitlines()) + "\n```"


def _json(document: object) -> str:
    return f"```json\n{json.dumps(document, indent=2)}\n```"


def packs() -> str:
    rows = []
    for name in pack_names():
        [pack] = load_policies([name])
        controls = sorted({control for rule in pack.rules for control in rule.controls})
        own = [each.partition(":")[2] for each in controls if each.startswith(f"{name}:")]
        told = ", ".join(own) or ", ".join(f"`{each}`" for each in controls)
        rows.append(f"| `{name}` | {len(pack.rules)} | {told} |")
    return "\n".join(["| pack | rules | controls |", "|---|---|---|", *rows])


BLOCKS: dict[str, Callable[[], str]] = {
    "caller-policy": caller_policy,
    "exit-codes": exit_codes,
    "facts": facts,
    "help": scan_help,
    "packs": packs,
    "read-policy": read_policy,
    "rules": rules,
    "write-policy": write_policy,
}


def renewed(text: str) -> str:
    def block(match: re.Match[str]) -> str:
        name = match[1]
        return f"<!-- begin {name} -->\n{BLOCKS[name]()}\n<!-- end {name} -->"

    return re.sub(r"<!-- begin ([\w-]+) -->.*?<!-- end \1 -->", block, text, flags=re.DOTALL)


FILES: dict[str, Callable[[], dict[str, object]]] = {
    "docs/policy.schema.json": policy_document.json_schema,
    "docs/policy-test.schema.json": cases.json_schema,
}


def main() -> None:
    stale = []
    for name, schema in FILES.items():
        path = ROOT / name
        fresh = json.dumps(schema(), indent=2) + "\n"
        if not path.exists() or path.read_text() != fresh:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(fresh)
    for name in DOCUMENTS:
        path = ROOT / name
        text = path.read_text()
        fresh = renewed(text)
        if fresh != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(fresh)
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run: make docs")


if __name__ == "__main__":
    main()
