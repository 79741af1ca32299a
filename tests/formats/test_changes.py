"""What changed since an earlier run, where people read it and as JSON."""

import json
from collections.abc import Callable, Iterator
from io import StringIO

from rich.console import Console

from auditor.cli.changes import show_accounts
from auditor.formats import changes as compare
from auditor.formats import html, markdown
from auditor.formats import json as json_report
from auditor.formats.document import Difference, Report
from auditor.formats.stream import ChangesStream, ReportStream, Row
from tests.formats.conftest import ACCOUNT, Make

Document = Callable[..., ReportStream]
Changes = Callable[..., ChangesStream]
HOSTILE = "<script>alert(1)</script>|`x`\u202e\x1b[31m"
A_KEY = {"account_id": ACCOUNT, "user_name": HOSTILE, "access_key_id": None, "slot": 1}
KEYS: list[Row] = [
    {**A_KEY, "change": "appeared", "before": None,
     "after": {"status": "Active", "last_used": "never"}},
    {**A_KEY, "change": "changed", "before": {"status": "Active", "last_used": "never"},
     "after": {"status": "Inactive", "last_used": "used"}},
]  # fmt: skip
ACCOUNTS: list[Row] = [
    {"id": ACCOUNT, "name": HOSTILE, "before": "audited", "after": None, "worse": True}
]


def written(write: Callable[[ReportStream, StringIO], None], document: ReportStream) -> str:
    out = StringIO()
    write(document, out)
    return out.getvalue()


def test_the_report_and_the_difference_fit_their_models(
    a_document: Document, changes_of: Changes, a_change: Make
) -> None:
    changes = changes_of(a_change(user_name=HOSTILE), keys_given=KEYS, accounts_given=ACCOUNTS)
    document = a_document(changes_given=changes)

    report = Report.model_validate_json(written(json_report.write, document))
    difference = Difference.model_validate_json(written(compare.write_json, document))

    assert report.changes == difference.changes
    assert difference.changes.findings[0].user_name == HOSTILE
    assert [key.change for key in difference.changes.keys] == ["appeared", "changed"]


def test_without_an_earlier_run_there_are_no_changes(a_document: Document) -> None:
    document = a_document()

    assert json.loads(written(json_report.write, document))["changes"] is None
    assert "What changed" not in written(html.write, document)
    assert "What changed" not in written(markdown.write, document)


def test_hostile_names_are_text_in_the_page_and_in_markdown(
    a_document: Document, changes_of: Changes, a_change: Make
) -> None:
    changes = changes_of(
        a_change(user_name=HOSTILE, reason=HOSTILE), keys_given=KEYS, accounts_given=ACCOUNTS
    )
    document = a_document(changes_given=changes)

    page = written(html.write, document)
    section = page.partition('id="changes"')[2].partition("</section>")[0]
    text = written(markdown.write_changes, document)

    assert section.count("&lt;script&gt;") == 5
    assert text.count(r"\u202e") == 5
    for told in (section, text):
        assert not {"\u202e", "\x1b"}.intersection(told)
        assert "used for the first time" in told
        assert "Active → Inactive" in told
        assert "not in scope" in told
    assert "<script>" not in section


def test_the_gravest_changes_are_listed_and_the_others_counted(
    changes_of: Changes, a_change: Make
) -> None:
    def many() -> Iterator[Row]:
        for number in range(500):
            yield a_change(access_key_id=f"AKIA{number}")
        yield a_change(access_key_id="worst", severity="critical")
        yield a_change(change="still_open")

    new = compare.findings(changes_of(findings_given=many), most=3)["new"]

    assert [row["access_key_id"] for row in new.rows] == ["worst", "AKIA0", "AKIA1"]
    assert (new.total, new.more) == (501, 498)


def test_a_change_says_what_it_was(a_change: Make) -> None:
    before = {"status": "open", "severity": "low", "title": "Old", "message": "m"}
    row = a_change(
        change="changed", before=before, differs=["severity", "title"], severity="high",
        message="told", reason=None,
    )  # fmt: skip

    assert compare.what(row) == "told; severity low → high; was: Old"


def test_what_keeps_runs_from_being_compared_is_said(changes_of: Changes) -> None:
    told = list(compare.caveats(changes_of(accounts_given=ACCOUNTS, same_policies=False)))

    assert told == [
        "The two runs were judged by other policies: some changes are the policies' doing",
        "1 account looked at before, and not, or not wholly, this time",
    ]


def test_the_command_that_lists_all_names_both_runs(changes_of: Changes) -> None:
    accounts = [{**ACCOUNTS[0], "id": f"{at:012}"} for at in range(compare.MOST + 1)]
    changes, out = changes_of(accounts_given=accounts), StringIO()

    show_accounts(changes, Console(file=out, width=200), run_id="run-2")

    assert f"iamaudit diff {changes.baseline()['id']} run-2 --format json" in out.getvalue()
