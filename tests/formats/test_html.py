"""The page as text: verdicts, gaps, hostile names, streaming."""

import base64
import hashlib
import html as entities
import io
import re
import tracemalloc
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest

from auditor.formats import html, overview
from auditor.formats.stream import ReportStream, Row

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]

VOID = {"meta", "link", "br", "input", "rect"}
ONE, TWO, THREE = "111111111111", "222222222222", "333333333333"
HOSTILE = [
    "<script>window.pwned=1</script>",
    "</script><img src=x onerror=alert(1)>",
    "\"'><svg onload=alert(1)>",
    "{{7*7}}{% raw %}",
    "<!--",
    "&lt;b&gt;",
    "🔑 Schlüssel",
]
HIDDEN = {
    "\u202egnp.exe": "\\u202egnp.exe",
    "\u200fmark": "\\u200fmark",
    "\x1b[31mred": "\\u001b[31mred",
    "a\nb": "a\\u000ab",
    "\x9b2J": "\\u009b2J",
    "\u2066isolate\u2069": "\\u2066isolate\\u2069",
}


class Page(HTMLParser):
    """Reads a page strictly: elements must nest; keeps text, attributes and headings."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text: list[str] = []
        self.headings: list[int] = []
        self.raw: dict[str, str] = {}
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]
        self.raw_key = f"{tag}:{dict(attrs).get('type', '')}"
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        if tag in {"dt", "dd", "td", "th"}:
            self.text.append(" ")

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in {"script", "style"}:
            self.raw[self.raw_key] = self.raw.get(self.raw_key, "") + data
        else:
            self.text.append(data)

    def words(self) -> str:
        """Return the visible text with single spaces."""
        return " ".join("".join(self.text).split())

    def entries(self) -> list[Any]:
        """Return the embedded findings."""
        entries: list[Any] = orjson.loads(self.raw["script:application/json"])
        return entries


def rendered(document: ReportStream) -> str:
    out = io.StringIO()
    html.write(document, out)
    return out.getvalue()


def sentence(document: ReportStream) -> str:
    found = re.search(r'<h2 id="verdict-sentence".*?</h2>', rendered(document), re.DOTALL)
    assert found is not None
    return " ".join(entities.unescape(re.sub(r"<[^>]*>", "", found[0])).split())


@pytest.fixture
def rich(  # noqa: PLR0917 -- fixtures
    a_document: MakeDocument,
    an_account: Make,
    an_error: Make,
    a_key: Make,
    a_finding: Make,
    a_gap: Make,
    a_control: Make,
    an_exemption: Make,
    a_plan: Make,
    an_action: Make,
    an_outcome: Make,
) -> ReportStream:
    """Return a document in which every section has something to show, all of it hostile."""
    name = "".join([*HOSTILE, *HIDDEN])
    return a_document(
        accounts=[
            an_account(name=name, ou=name, state="ACTIVE"),
            an_account(id=TWO, name=name, outcome="unreachable", errors=[an_error(message=name)]),
            an_account(id=THREE, name=None, outcome="partial", errors=[an_error(subject=name)]),
        ],
        keys=[a_key(user_name=name)],
        findings=[a_finding(user_name=name, message=name, exemption=name, status="exempt")],
        gaps=[a_gap(message=name, statement={"Resource": name})],
        compliance_given=[a_control(framework=name)],
        plan_given=a_plan(actions=[an_action(an_outcome(reason=name), user_name=name)]),
        exemptions_given=[an_exemption(where={"tags": {name: name}}, reason=name, owner=name)],
        rules_given=[{**a_document().rules()[0], "title": name, "when": name, "controls": [name]}],
    )


def test_the_page_is_well_formed(rich: ReportStream) -> None:
    page = Page(rendered(rich))

    assert page.headings[0] == 1
    assert all(b - a <= 1 for a, b in zip(page.headings, page.headings[1:], strict=False))
    ids = [value for _, name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_hostile_text_is_only_ever_text(rich: ReportStream) -> None:
    page = Page(rendered(rich))

    assert not [one for one in page.attributes if one[1].startswith("on") or one[0] == "img"]
    for text in HOSTILE:
        assert text in page.words()


def test_hidden_characters_are_shown_as_escapes(rich: ReportStream) -> None:
    markup = rendered(rich)
    text = "".join(Page(markup).text)

    for hidden, shown in HIDDEN.items():
        assert shown in text
        assert hidden not in text
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x1b\x80-\x9f]", text)


def test_the_script_data_can_not_be_broken_out_of(rich: ReportStream) -> None:
    page = Page(rendered(rich))

    *_, key, finding = page.entries()
    assert key["key"][0] == finding[3] == "".join([*HOSTILE, *HIDDEN])


def told(document: ReportStream) -> list[Any]:
    """Return what the page's script is given."""
    return list(html.entries(document, overview.overview(document.accounts())))


def keys_told(entries: list[Any]) -> list[list[Any]]:
    return [one["key"] for one in entries if isinstance(one, dict) and "key" in one]


def test_a_finding_comes_with_the_facts_of_its_key(
    a_document: MakeDocument, a_key: Make, a_finding: Make, an_account: Make
) -> None:
    unrelated = [a_key(account_id="000000000001"), a_key(account_id=TWO, access_key_id="AKIAX")]
    document = a_document(
        accounts=[an_account(), an_account(id=TWO, name="second"), an_account(id=THREE)],
        keys=[unrelated[0], a_key(age_days=516), unrelated[1], a_key(account_id=TWO, age_days=7)],
        findings=[a_finding(), a_finding(account_id=TWO), a_finding(account_id=THREE)],
    )

    entries = told(document)

    accounts = [one for one in entries if isinstance(one, dict) and "account" in one]
    names = {ONE: "production", TWO: "second", THREE: "production"}
    assert accounts == [
        {"account": one, "name": name, "ou": "ou-ab12-workloads"} for one, name in names.items()
    ]
    assert [facts[7:8] for facts in keys_told(entries)] == [[516], [7], []]


def test_a_root_key_without_an_id_is_found_by_its_slot(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    root = {"user_name": "<root_account>", "access_key_id": None}
    keys = [a_key(**root, slot=1, age_days=1), a_key(**root, slot=2, age_days=2)]
    about_the_account = a_finding(**root, slot=None, rule_id="root-access-key")
    document = a_document(keys=keys, findings=[a_finding(**root, slot=2), about_the_account])

    known, unknown = keys_told(told(document))

    assert (known[2], known[7]) == (2, 2)
    assert unknown == ["<root_account>", None, None, None, "root"]


def test_a_key_with_several_findings_is_told_once(
    a_document: MakeDocument, a_key: Make, a_finding: Make
) -> None:
    findings = [a_finding(rule_id=rule) for rule in ("key-too-old", "root-access-key")]

    entries = told(a_document(keys=[a_key(owner="web")], findings=findings))

    (facts,) = keys_told(entries)
    assert facts[:5] == ["deploy", "AKIAIOSFODNN7EXAMPLE", None, "web", "machine"]
    assert sum(isinstance(one, list) for one in entries) == 2


def test_what_findings_share_is_written_once(a_document: MakeDocument, a_finding: Make) -> None:
    findings = [a_finding(access_key_id=f"AKIA{n}") for n in range(5)]
    findings.append(a_finding(title="Active access key older than 365d"))

    page = Page(rendered(a_document(findings=findings)))

    assert sum("kind" in entry for entry in page.entries() if isinstance(entry, dict)) == 2


def test_the_verdict_of_a_clean_run(a_document: MakeDocument) -> None:
    assert sentence(a_document()) == "No open findings; every account in scope was read whole."


def test_the_verdict_names_skipped_accounts(a_document: MakeDocument, an_account: Make) -> None:
    document = a_document(accounts=[an_account(), an_account(id=TWO, outcome="skipped")])

    assert sentence(document).endswith("was read whole; 1 account was skipped.")


def test_the_verdict_with_findings_in_a_complete_run(
    a_document: MakeDocument, a_finding: Make
) -> None:
    findings = [a_finding(), a_finding(rule_id="root-access-key")]

    assert sentence(a_document(findings=findings)) == (
        "2 open findings, 1 critical; every account in scope was read whole."
    )


def test_the_verdict_of_an_incomplete_run(
    a_document: MakeDocument, an_account: Make, a_finding: Make
) -> None:
    document = a_document(
        accounts=[
            an_account(),
            an_account(id=TWO, outcome="unreachable"),
            an_account(id=THREE, outcome="partial"),
        ],
        findings=[a_finding()],
    )

    assert sentence(document) == (
        "1 open finding; 1 of 3 accounts was not read; 1 of 3 accounts was read only in part: "
        "this report is NOT complete."
    )


def test_an_incomplete_run_without_findings_is_not_called_clean(
    a_document: MakeDocument, an_account: Make
) -> None:
    accounts = [an_account(), an_account(id=TWO, outcome="unreachable")]

    document = a_document(accounts=accounts)

    assert sentence(document).startswith("No open findings in what was read; ")
    assert "verdict--clean" not in rendered(document).split("<body>")[1]


def test_an_indeterminate_finding_makes_the_report_incomplete(
    a_document: MakeDocument, a_finding: Make
) -> None:
    document = a_document(findings=[a_finding(status="indeterminate")])

    assert sentence(document) == (
        "No open findings in what was read; 1 verdict could not be reached: "
        "this report is NOT complete."
    )


def test_an_interrupted_run_is_not_complete(a_document: MakeDocument, a_run: Make) -> None:
    document = a_document(run=a_run(finished_at=None))

    assert "the run was interrupted: this report is NOT complete" in sentence(document)


def test_coverage_that_is_not_complete_is_believed(a_document: MakeDocument) -> None:
    document = a_document(complete=False)

    assert "not everything in scope could be read: this report is NOT" in sentence(document)


def test_a_run_that_read_nothing_says_so(a_document: MakeDocument, an_account: Make) -> None:
    document = a_document(accounts=[an_account(outcome="unreachable")], keys=[])

    assert sentence(document).startswith("Nothing was audited; 1 of 1 account was not read: ")


def test_a_scope_without_accounts_is_not_clean(a_document: MakeDocument) -> None:
    assert sentence(a_document(accounts=[], keys=[])).startswith("Nothing was audited; ")


def test_a_gap_is_shown_once_with_the_statement_that_mends_it(
    a_document: MakeDocument, a_gap: Make
) -> None:
    page = rendered(a_document(gaps=[a_gap()]))

    assert page.count("&#34;Action&#34;: &#34;iam:GetAccessKeyLastUsed&#34;") == 1
    assert page.count("the last use of 3 keys is unknown") == 1
    assert "not judged by key-unused, inactive-key-lingering" in Page(page).words()


def test_a_gap_of_users_that_were_not_read_claims_nothing_about_keys(
    a_document: MakeDocument, a_gap: Make
) -> None:
    told = "users or keys were not read in 1 account: iam:ListAccessKeys denied"

    page = rendered(a_document(gaps=[a_gap(rules=[], keys=0, message=told)]))

    assert page.count(told) == 1
    assert "not judged by" not in page


def test_a_gap_that_no_permission_mends_has_no_statement(
    a_document: MakeDocument, a_gap: Make
) -> None:
    page = Page(rendered(a_document(gaps=[a_gap(code="Throttling", statement=None)])))

    assert "Throttling" in page.words()
    assert "<pre" not in page.words()
    assert "would grant it" not in page.words()


def test_the_same_error_is_shown_once_with_the_first_subjects(
    a_document: MakeDocument, an_account: Make, an_error: Make
) -> None:
    denied = [
        an_account(id=f"{n:012d}", outcome="unreachable", errors=[an_error(message=f"denied {n}")])
        for n in range(1, 9)
    ]
    errors = [an_error(operation="iam:ListAccessKeys", subject=f"user-{n}") for n in range(3)]
    partial = an_account(id=ONE, outcome="partial", errors=errors)

    first, second = overview.overview([*denied, partial]).errors
    words = Page(rendered(a_document(accounts=[*denied, partial]))).words()

    assert (first.operation, first.accounts, first.errors) == ("sts:AssumeRole", 8, 8)
    assert [one["account"] for one in first.subjects] == [f"{n:012d}" for n in range(1, 6)]
    assert (second.accounts, second.errors) == (1, 3)
    assert "denied 1" in words
    assert "denied 2" not in words
    assert "and 3 more: see the table of accounts" in words


def test_an_account_without_a_recorded_error_is_named_still(an_account: Make) -> None:
    closed = an_account(outcome="skipped", state="SUSPENDED")
    silent = an_account(id=TWO, outcome="unreachable", state=None)

    messages = [group.message for group in overview.overview([closed, silent]).errors]

    assert messages == ["no reason was recorded", "the account's state is SUSPENDED"]


def test_the_worst_accounts_come_by_gravity() -> None:
    counts = {
        "many-low": {"low": 500},
        "critical": {"critical": 1},
        "high": {"high": 30},
        "exempt": {"exempt": 9, "indeterminate": 9},
        **{f"filler-{n:02d}": {"info": 1} for n in range(20)},
    }

    worst = overview.worst(counts)

    assert worst[:3] == ["critical", "high", "many-low"]
    assert len(worst) == 10
    assert "exempt" not in worst


def test_what_was_not_read_is_not_counted_as_zero(
    a_document: MakeDocument, an_account: Make
) -> None:
    lost = an_account(
        id=TWO,
        name="lost",
        outcome="unreachable",
        via=None,
        role_arn=None,
        credential_report_at=None,
    )

    words = Page(rendered(a_document(accounts=[an_account(), lost]))).words()

    assert "ACTIVE unreachable — not read not read — not judged" in words


def test_the_page_says_how_it_was_made(
    a_document: MakeDocument, a_run: Make, a_control: Make
) -> None:
    document = a_document(run=a_run(finished_at=None), compliance_given=[a_control()])

    words = Page(rendered(document)).words()

    for text in (
        "a key of exactly 90 days passes",
        "key.active && key.age > params.max_age",
        "CIS AWS Foundations 5.0.0 1.13 keys 30 4 1 2 3 accounts",
        "Finished interrupted",
        "arn:aws:sts::999999999999:assumed-role/audit/me",
        "ab" * 32,
        "iam:GetAccessKeyLastUsed 1,234",
        "permissions boundaries are not considered",
        "one use of a key in 15 minutes",
        "IAM Roles Anywhere",
        "what the tag Owner of its user says",
    ):
        assert text in words


def test_a_control_is_told_by_account_with_the_names(
    a_document: MakeDocument, a_control: Make, an_account: Make
) -> None:
    counts = {"passed": 1, "failed": 2, "exempt": 3, "indeterminate": 4}
    document = a_document(
        accounts=[an_account(id=ONE, name="payments"), an_account(id=TWO, name="web")],
        compliance_given=[
            a_control(accounts=[{"id": ONE, **counts}, {"id": TWO, **counts, "failed": 0}])
        ],
    )

    words = Page(rendered(document)).words()

    assert "2 accounts, 1 failed" in words
    assert f"payments {ONE} 1 2 3 4 web {TWO} 1 0 3 4" in words


def test_exemptions_are_listed_with_the_expired_and_the_unused(
    a_document: MakeDocument, an_exemption: Make
) -> None:
    document = a_document(
        exemptions_given=[
            an_exemption(),
            an_exemption(where={}, rules=None, state="expired", findings=0),
            an_exemption(where={"user": "nobody"}, findings=0),
            an_exemption(where={"user": "unclear"}, findings=0, unread=7),
        ]
    )

    words = Page(rendered(document)).words()

    assert "4 exemptions: 1 expired, 1 in force without anything to exempt" in words
    assert "tags: team=mail user: svc-*" in words
    assert "every key house every rule" in words
    assert "2027-01-31 expired 0" in words
    assert "user: nobody house key-too-old moves to roles in spring" in words
    assert words.count("unused") == 1


def test_a_plan_is_shown_with_its_outcomes_and_what_is_held(
    a_document: MakeDocument, a_plan: Make, an_action: Make, an_outcome: Make
) -> None:
    held = {
        "account_id": ONE,
        "user_name": "root<b>",
        "access_key_id": None,
        "kind": "rotate",
        "because": ["key-too-old"],
        "reason": "no IAM user or role can change a root key",
    }
    plan = a_plan(
        actions=[
            an_action(),
            an_action(an_outcome(result="drifted", reason="it is Inactive now")),
            an_action(an_outcome(undone=True)),
        ],
        held=[held],
    )

    words = Page(rendered(a_document(plan_given=plan))).words()

    assert "3 actions, 1 proposal held" in words
    assert "to be applied before 2026-06-02 10:00:00 UTC" in words
    assert "key-unused 2026-01-01 00:00:00 UTC not applied" in words
    assert "drifted" in words
    assert "it is Inactive now" in words
    assert "applied, undone since" in words
    assert "root<b> — rotate key-too-old no IAM user or role can change a root key" in words


def test_a_plan_that_is_only_to_be_looked_at_says_so(
    a_document: MakeDocument, a_plan: Make
) -> None:
    words = Page(rendered(a_document(plan_given=a_plan(applicable=False)))).words()

    assert "to be looked at, not applied" in words
    assert "Plan" not in Page(rendered(a_document())).words()


def test_compliance_is_left_out_where_there_is_none(a_document: MakeDocument) -> None:
    assert "Compliance" not in Page(rendered(a_document())).words()


def test_nothing_is_loaded_from_elsewhere(rich: ReportStream) -> None:
    page = Page(rendered(rich))

    references = [
        value or ""
        for tag, name, value in page.attributes
        if name in {"src", "href", "action", "srcset"}
        and not (tag == "a" and (value or "").startswith("https://docs.aws.amazon.com/"))
    ]
    assert references
    assert all(one.startswith("#") or one == "data:," for one in references)
    assert "url(" not in page.raw["style:"]
    assert "@import" not in page.raw["style:"]


def test_the_policy_allows_exactly_the_script_and_the_style(a_document: MakeDocument) -> None:
    page = Page(rendered(a_document()))

    contents = [value or "" for _, name, value in page.attributes if name == "content"]
    policy = next(one for one in contents if one.startswith("default-src 'none'; "))
    for kind, key in (("script", "script:module"), ("style", "style:")):
        digest = base64.b64encode(hashlib.sha256(page.raw[key].encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "unsafe" not in policy
    assert not [one for one in page.attributes if one[1] == "style"]


def many(make: Make, number: int, on_last: Callable[[], None]) -> Callable[[], Iterator[Row]]:
    def findings() -> Iterator[Row]:
        for n in range(number):
            yield make(id=f"{n:032x}", account_id=f"{n // 50:012d}", access_key_id=f"AKIA{n:016d}")
        on_last()

    return findings


class Sink(io.StringIO):
    """Counts what it is given and keeps nothing."""

    def __init__(self) -> None:
        self.written = 0

    def write(self, text: str, /) -> int:
        self.written += len(text)
        return len(text)


def peak(document: ReportStream) -> int:
    html.write(document, Sink())  # templates and interned names are not the page's
    tracemalloc.start()
    html.write(document, Sink())
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def test_memory_does_not_grow_with_the_findings(a_document: MakeDocument, a_finding: Make) -> None:
    few, lots = (
        a_document(keys=[], findings=many(a_finding, number, lambda: None))
        for number in (2_000, 20_000)
    )

    assert peak(lots) < 1.5 * peak(few)


def test_findings_are_written_while_they_are_read(
    a_document: MakeDocument, a_finding: Make
) -> None:
    sink = Sink()
    written: list[int] = []
    findings = many(a_finding, 2_000, lambda: written.append(sink.written))

    html.write(a_document(keys=[], findings=findings), sink)

    after_the_last = sink.written - written[-1]
    assert after_the_last < 100_000
    assert written[-1] > 200_000


@pytest.mark.parametrize(
    ("expires", "days"),
    [
        ("2026-06-01", 0),
        ("2026-06-30", 29),
        ("2026-05-31", -1),
        ("2026-06-03T10:00:00Z", 2),
        ("2026-06-03T09:00:00", 1),
    ],
)
def test_an_exemption_has_days_left(expires: str, days: int) -> None:
    assert overview.days_left(expires, now="2026-06-01T10:00:00Z") == days


def test_an_exemption_that_ends_soon_stands_out(
    a_document: MakeDocument, an_exemption: Make
) -> None:
    document = a_document(
        exemptions_given=[an_exemption(expires="2026-06-10"), an_exemption(expires="2027-06-10")]
    )

    page = Page(rendered(document))

    assert "2026-06-109 days left" in page.words()
    assert "2027-06-10374 days left" in page.words()
    assert ("span", "class", "soon") in page.attributes
