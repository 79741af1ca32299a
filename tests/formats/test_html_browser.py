"""The page in a real browser: nothing but the file is asked for, and everything works."""

from collections.abc import Callable

import pytest
from playwright.sync_api import Page as Tab

from auditor.formats.stream import ReportStream, Row
from tests.browser import choose, column, groups, launched, rows, said, search

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]
Open = Callable[..., Tab]

ONE, TWO = "111111111111", "222222222222"


@pytest.fixture
def document(
    a_document: MakeDocument, an_account: Make, a_key: Make, a_finding: Make
) -> ReportStream:
    """Return five findings of three keys in two accounts, one of each status."""
    accounts = [
        an_account(name="production", ou="Root/Prod"),
        an_account(id=TWO, name="Sandbox", ou=None),
    ]
    old = a_key(age_days=516, owner="payments", last_used={"service": "glue"})
    young = a_key(access_key_id="AKIAYOUNG", age_days=9, user_class="human")
    unknown = {"state": "unknown", "at": None, "service": None, "region": None}
    lost = a_key(
        account_id=TWO,
        user_name="smtp",
        access_key_id="AKIALOST",
        age_days=99,
        idle_days=None,
        user_class=None,
        last_used={**unknown, "reason": "iam:GetAccessKeyLastUsed: AccessDenied"},
    )
    young_id, lost_id = ({"access_key_id": key["access_key_id"]} for key in (young, lost))
    return a_document(
        accounts=accounts,
        keys=[old, young, lost],
        findings=[
            a_finding(message="Active for 516 days"),
            a_finding(rule_id="root-access-key", **young_id),
            a_finding(**young_id, status="exempt", exemption="mail relay, owner: ops"),
            a_finding(account_id=TWO, user_name="smtp", **lost_id),
            a_finding(
                account_id=TWO,
                user_name="smtp",
                **lost_id,
                rule_id="root-access-key",
                status="indeterminate",
            ),
        ],
    )


def test_open_findings_come_first_and_the_gravest_of_them(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    assert said(tab) == "All 5 findings"
    assert column(tab, "status") == ["Open"] * 3 + ["Indeterminate", "Exempt"]
    assert column(tab, "severity") == ["Critical", "Medium", "Medium", "Critical", "Medium"]


def test_search_looks_at_all_text_of_a_finding(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)
    found = {}

    for text in SEARCHES:
        tab.locator("#search").fill(text)
        tab.wait_for_timeout(70)
        found[text] = rows(tab).count()

    assert found == SEARCHES


SEARCHES = {
    "sandbox": 2,
    TWO: 2,
    "smtp": 2,
    "akiayoung": 2,
    "root-access": 2,
    "516 days": 5,
    "older sandbox": 1,
    "PAYMENTS": 1,
    "no owner": 4,
    "root/prod glue": 1,
    "no unit": 2,
    "indeterminate": 1,
    "mail relay": 1,
    "iam:getaccesskeylastused": 2,
    "cis-aws-5.0.0:1.13": 3,
}
"""What is searched for, and how many of the five findings have it."""


def test_a_search_without_a_match_says_so(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    search(tab, "nobody")

    assert said(tab) == "0 of 5 findings"
    assert rows(tab).count() == 0


def test_each_filter_narrows_and_reset_takes_it_back(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    for label, choice, left in (
        ("Severity", "Critical", 2),
        ("Status", "Exempt", 1),
        ("Rule", "root-access-key", 2),
        ("Account", f"Sandbox ({TWO})", 2),
        ("Organizational unit", "Root/Prod", 3),
        ("Organizational unit", "no unit known", 2),
        ("Owner", "payments", 1),
        ("Owner", "no owner known", 4),
    ):
        choose(tab, label, choice)
        assert (choice, said(tab)) == (choice, f"{left} of 5 findings")
        tab.get_by_role("button", name="Reset").click()
        tab.get_by_text("All 5 findings").wait_for()


def test_filters_and_search_hold_together(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    choose(tab, "Status", "Open")
    search(tab, "smtp")

    assert column(tab, "account") == [f"Sandbox\n{TWO}"]


def test_a_click_on_a_header_sorts_and_another_turns_it_round(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)
    header = tab.locator("#findings-head").get_by_role("columnheader", name="Age")

    header.get_by_role("button").click()
    assert column(tab, "age") == ["9 d", "9 d", "99 d", "99 d", "516 d"]
    assert header.get_attribute("aria-sort") == "ascending"
    header.get_by_role("button").press("Enter")

    assert column(tab, "age") == ["516 d", "99 d", "99 d", "9 d", "9 d"]
    assert header.get_attribute("aria-sort") == "descending"
    assert tab.locator("[aria-sort]").count() == 1


def test_every_column_sorts(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    for header in tab.locator("#findings-head th").all():
        header.get_by_role("button").click()

        assert header.get_attribute("aria-sort") in {"ascending", "descending"}
        assert rows(tab).count() == 5


def test_a_row_opens_to_what_to_do_and_to_the_facts_of_its_key(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)
    search(tab, "akialost older")
    button = rows(tab).get_by_role("button", name="Details of key-too-old, smtp")

    button.press("Enter")

    told = tab.locator("tr.detail").inner_text()
    assert button.get_attribute("aria-expanded") == "true"
    for text in (
        "Make a second key",
        "2025-01-01 00:00:00 UTC",
        "99 days",
        "unknown: iam:GetAccessKeyLastUsed: AccessDenied",
        "rotate the key",
        "cis-aws-5.0.0:1.13, aws-fsbp:IAM.3",
        "no owner known",
        "no unit known",
    ):
        assert text in told
    button.press("Enter")
    assert tab.locator("tr.detail").count() == 0


def test_what_is_better_than_a_key_follows_from_who_uses_it(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)
    better = {}

    for key in BETTER:
        search(tab, key)
        rows(tab).get_by_role("button").click()
        better[key] = tab.locator("tr.detail .ways a").all_inner_texts()
        search(tab, "")

    assert better == BETTER


BETTER = {
    "akiayoung older": ["IAM Identity Center"],
    "payments glue": ["IAM role", "IAM Roles Anywhere", "OpenID Connect federation"],
}


def test_a_last_use_is_told_with_service_and_region(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    search(tab, "mail relay")
    rows(tab).get_by_text("Active access key older").click()

    told = tab.locator("tr.detail").inner_text()
    assert "2026-05-30 08:00:00 UTC · s3 · eu-central-1" in told
    assert "mail relay, owner: ops" in told


def test_findings_are_grouped_the_group_with_the_gravest_first(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)
    titles = {}

    for by in GROUPS:
        choose(tab, "Group by", by)
        titles[by] = groups(tab).locator(".group__title").all_inner_texts()

    assert titles == GROUPS
    assert said(tab) == "All 5 findings, in 2 groups"
    assert rows(tab).count() == 5


GROUPS = {
    "Severity": ["Critical", "Medium"],
    "Account": [f"production · {ONE}", f"Sandbox · {TWO}"],
    "Organizational unit": ["Root/Prod", "no unit known"],
    "Rule": [
        "Active access key of the root user · root-access-key",
        "Active access key older than 90d · key-too-old",
    ],
    "Owner": ["no owner known", "payments"],
}


def test_groups_are_closed_and_opened(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)
    choose(tab, "Group by", "Owner")
    button = groups(tab).first.get_by_role("button")
    assert groups(tab).first.inner_text().split("\n")[1:] == [
        "4 findings",
        "1 critical",
        "1 medium",
    ]

    button.press("Enter")
    assert rows(tab).count() == 1
    assert button.get_attribute("aria-expanded") == "false"
    assert button.evaluate("one => one === document.activeElement")
    tab.get_by_role("button", name="Collapse all").click()
    assert rows(tab).count() == 0
    tab.get_by_role("button", name="Expand all").click()

    assert rows(tab).count() == 5


def test_groups_hold_what_the_filters_leave_in_the_order_of_the_columns(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    choose(tab, "Group by", "Account")
    tab.locator("#findings-head").get_by_role("button", name="Age").click()
    choose(tab, "Severity", "Medium")

    assert said(tab) == "3 of 5 findings, in 2 groups"
    assert column(tab, "age") == ["9 d", "516 d", "99 d"]


def address(tab: Tab) -> str:
    found: str = tab.evaluate("location.hash")
    return found


def test_the_address_shows_the_same_view_again(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)
    search(tab, "root/prod")
    choose(tab, "Severity", "Medium")
    choose(tab, "Group by", "Owner")
    tab.locator("#findings-head").get_by_role("button", name="Age").dblclick()
    rows(tab).first.get_by_role("button").click()

    again = open_page(document, fragment=address(tab))
    again.locator("tr.detail").wait_for()

    assert address(again) == address(tab)
    for page in (tab, again):
        assert said(page) == "2 of 5 findings, in 2 groups"
        assert column(page, "age") == ["516 d", "9 d"]
        assert page.locator("tr.detail").count() == 1
        assert page.locator("#search").input_value() == "root/prod"
    assert again.locator("[aria-sort]").get_attribute("aria-sort") == "descending"


def test_without_a_choice_the_address_stays_as_it_was(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document, fragment="#accounts")

    assert address(tab) == "#accounts"


def test_a_link_to_a_finding_reveals_it(
    open_page: Open, a_document: MakeDocument, a_finding: Make
) -> None:
    findings = [a_finding(access_key_id=f"AKIA{n:04d}") for n in range(1000)]
    wanted = findings[777]["id"]

    tab = open_page(a_document(keys=[], findings=findings), fragment=f"#finding={wanted}")

    row = tab.locator(f"#f-{wanted}")
    assert "AKIA0777" in row.inner_text()
    assert row.get_by_role("button").get_attribute("aria-expanded") == "true"
    assert row.get_by_role("button").evaluate("one => one === document.activeElement")
    box = row.bounding_box()
    assert box is not None
    assert 0 < box["y"] < 900
    assert row.get_attribute("aria-rowindex") == "779"
    assert tab.locator("tr.detail a").last.get_attribute("href") == f"#finding={wanted}"


@pytest.mark.parametrize("within", ["tr.finding .toggle", "tr.detail a"])
def test_a_row_keeps_the_focus_when_the_width_changes(
    open_page: Open, document: ReportStream, a_finding: Make, within: str
) -> None:
    wanted = a_finding()["id"]
    tab = open_page(document, fragment=f"#finding={wanted}")
    tab.locator("tr.detail").wait_for()
    tab.locator(within).last.focus()

    tab.evaluate("document.querySelector('tr.detail').dataset.old = ''")
    tab.set_viewport_size({"width": 1100, "height": 900})
    tab.locator("tr.detail:not([data-old])").wait_for()

    focused = tab.evaluate("document.activeElement.closest('tr').id")
    last = tab.locator("tr.finding").last.get_attribute("id")
    assert focused == (f"f-{wanted}" if "detail" in within else last)


def test_a_link_shows_a_finding_that_the_filters_hide(
    open_page: Open, document: ReportStream, a_finding: Make
) -> None:
    tab = open_page(document)
    search(tab, "smtp")
    choose(tab, "Group by", "Account")
    tab.get_by_role("button", name="Collapse all").click()

    tab.evaluate("id => { location.hash += `&finding=${id}` }", a_finding()["id"])
    tab.locator("tr.detail").wait_for()

    assert said(tab) == "All 5 findings, in 2 groups"
    assert tab.locator("tr.finding--revealed").count() == 1


@pytest.mark.parametrize("fragment", ["#finding=%00%zz", "#finding=1&owner=nobody&sort=x&group=y"])
def test_a_link_to_no_finding_says_so(
    open_page: Open, document: ReportStream, fragment: str
) -> None:
    tab = open_page(document, fragment=fragment)

    tab.get_by_text("No finding of this report has the id in the address.").wait_for()
    assert rows(tab).count() == 5


def test_tiles_and_accounts_lead_to_their_findings(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    tab.locator("#verdict").get_by_role("link", name="Critical").click()
    assert said(tab) == "1 of 5 findings"
    tab.locator("#worst").get_by_role("link", name="Sandbox").click()
    assert said(tab) == "1 of 5 findings"
    tab.locator("#verdict").get_by_role("link", name="Exempt").click()

    assert column(tab, "status") == ["Exempt"]


def test_the_accounts_can_be_searched(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    tab.get_by_label("Show accounts that contain").fill("sandb")

    assert tab.locator("#accounts-table tbody tr:visible").count() == 1


HOSTILE = {
    "</script><script>window.pwned=1</script>": "</script><script>window.pwned=1</script>",
    "<img src=x onerror='window.pwned=1'>": "<img src=x onerror='window.pwned=1'>",
    "\"' onclick=window.pwned=1 x='": "\"' onclick=window.pwned=1 x='",
    "javascript:window.pwned=1": "javascript:window.pwned=1",
    "\u202eevil\u200f\x1b[31m{{7*7}}": "\\u202eevil\\u200f\\u001b[31m{{7*7}}",
    "=cmd|' /C calc'!A0": "=cmd|' /C calc'!A0",
    "w" * 64: "w" * 64,
    "🔑🧑🏽‍💻 Schlüssel": "🔑🧑🏽‍💻 Schlüssel",
    "__proto__": "__proto__",
}
"""Names, and how they are shown."""


def test_hostile_names_are_text_and_run_nothing(
    open_page: Open, a_document: MakeDocument, an_account: Make, a_key: Make, a_finding: Make
) -> None:
    accounts, keys, findings = [], [], []
    for n, name in enumerate(HOSTILE):
        place = {"account_id": f"{n:012d}", "user_name": name, "access_key_id": f"AKIA{n}"}
        accounts.append(an_account(id=f"{n:012d}", name=name, ou=name))
        facts = {"user_class": name, "owner": name, "last_used": {"service": name}}
        keys.append(a_key(**place, **facts))
        findings.append(a_finding(**place, message=name, title=name, rule_id=name, controls=[name]))

    tab = open_page(a_document(accounts=accounts, keys=keys, findings=findings))

    assert sorted(column(tab, "account")) == sorted(
        f"{shown}\n{n:012d}" for n, shown in enumerate(HOSTILE.values())
    )
    assert set(column(tab, "user")) == {f"{shown}\n{shown}" for shown in HOSTILE.values()}
    for by in GROUPS:
        choose(tab, "Group by", by)
        tab.get_by_role("button", name="Collapse all").click()
        titles = " ".join(groups(tab).locator(".group__title").all_inner_texts())
        assert by == "Severity" or all(shown in titles for shown in HOSTILE.values())
    choose(tab, "Group by", "Nothing")
    for button in rows(tab).get_by_role("button").all():
        button.press("Enter")
        button.press("Enter")
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.wait_for_timeout(100)

    assert tab.evaluate("window.pwned") is None
    assert tab.locator("img, [onclick], [onerror]").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") == 400
    for shown in HOSTILE.values():
        assert shown in tab.locator("#accounts").inner_text()


@pytest.fixture
def long_list(a_document: MakeDocument, a_finding: Make, an_account: Make) -> ReportStream:
    """Return three thousand findings in thirty accounts."""
    one = a_finding()
    findings = [
        {
            **one,
            "id": f"{n:032x}",
            "access_key_id": f"AKIA{n:06d}",
            "account_id": f"{n // 100:012d}",
        }
        for n in range(3_000)
    ]
    accounts = [an_account(id=f"{n:012d}") for n in range(30)]
    return a_document(accounts=accounts, keys=[], findings=findings)


def scroll(tab: Tab, where: str) -> None:
    tab.locator("#findings-scroller").evaluate(f"one => {{ one.scrollTop = {where} }}")
    tab.wait_for_timeout(100)


def test_only_the_rows_in_sight_are_drawn(open_page: Open, long_list: ReportStream) -> None:
    tab = open_page(long_list)

    assert said(tab) == "All 3,000 findings"
    assert tab.locator("#findings-table").get_attribute("aria-rowcount") == "3001"
    assert column(tab, "key")[0] == "AKIA000000"
    for where in ("one.scrollHeight", "one.scrollHeight / 2", "one.scrollHeight"):
        scroll(tab, where)
        assert 10 < rows(tab).count() < 60
    assert column(tab, "key")[-1] == "AKIA002999"
    search(tab, "akia00123")
    assert said(tab) == "10 of 3,000 findings"
    assert column(tab, "key")[0] == "AKIA001230"


def test_rows_stand_where_they_belong_with_details_and_groups_open(
    open_page: Open, long_list: ReportStream
) -> None:
    tab = open_page(long_list)
    choose(tab, "Group by", "Account")
    rows(tab).nth(1).get_by_role("button").click()
    height = tab.locator("#findings-scroller").evaluate("one => one.scrollHeight")

    scroll(tab, "one.scrollHeight / 3")
    scroll(tab, "one.scrollHeight")
    end = tab.locator("#findings-scroller").bounding_box()
    last = rows(tab).last.bounding_box()

    assert column(tab, "key")[-1] == "AKIA002999"
    assert end is not None
    assert last is not None
    assert abs(end["y"] + end["height"] - last["y"] - last["height"]) < 3
    assert tab.locator("#findings-scroller").evaluate("one => one.scrollHeight") == height
    scroll(tab, "0")
    assert tab.locator("tr.detail").count() == 1


def test_the_arrow_keys_go_from_row_to_row(open_page: Open, long_list: ReportStream) -> None:
    tab = open_page(long_list)
    focused = "() => document.activeElement.closest('tr')?.querySelector('.cell--key')?.innerText"
    rows(tab).first.get_by_role("button").focus()

    for _ in range(30):
        tab.keyboard.press("ArrowDown")
    assert tab.evaluate(focused) == "AKIA000030"
    tab.keyboard.press("Enter")
    tab.keyboard.press("ArrowUp")
    assert tab.evaluate(focused) == "AKIA000029"
    tab.keyboard.press("End")
    assert tab.evaluate(focused) == "AKIA002999"
    tab.keyboard.press("Home")

    assert tab.evaluate(focused) == "AKIA000000"


def test_the_focus_is_not_lost_when_its_row_is_scrolled_away(
    open_page: Open, long_list: ReportStream
) -> None:
    tab = open_page(long_list)
    rows(tab).first.get_by_role("button").focus()

    scroll(tab, "one.scrollHeight")

    assert tab.evaluate("document.activeElement.id") == "findings-scroller"


def test_what_is_printed_is_said_with_what_is_not(open_page: Open, long_list: ReportStream) -> None:
    tab = open_page(long_list)
    scroll(tab, "20000")
    before = column(tab, "key")

    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    printed, note = rows(tab).count(), tab.locator("#findings-note").inner_text()
    tab.evaluate("dispatchEvent(new Event('afterprint'))")

    assert printed == 1000
    assert note.startswith("2,000 more rows are not printed: filter before printing")
    assert column(tab, "key") == before
    assert tab.locator("#findings-note").inner_text() == ""


def test_a_report_without_findings_is_whole(open_page: Open, a_document: MakeDocument) -> None:
    tab = open_page(a_document())

    assert said(tab) == "There are no findings."


def test_without_a_browser_ci_fails_and_says_how_to_get_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("CI", "true")

    with pytest.raises(pytest.fail.Exception, match="apt-get install chromium"), launched():
        pass
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="apt-get install chromium"), launched():
        pass
