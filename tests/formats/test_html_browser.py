"""The page in a real browser: nothing but the file is asked for, and everything works."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, sync_playwright
from playwright.sync_api import Page as Tab

from auditor.formats.stream import ReportStream, Row

Make = Callable[..., Row]
MakeDocument = Callable[..., ReportStream]
Open = Callable[..., Tab]

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
HINT = "install Chromium, on Debian or Ubuntu with: apt-get install chromium"
ONE, TWO = "111111111111", "222222222222"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None and os.environ.get("CI"):
        pytest.fail(f"the tests of the page need a browser: {HINT}")
    if executable is None:
        pytest.skip(HINT)
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser, saved: Callable[[ReportStream], Path]) -> Iterator[Open]:
    """Return a function that opens a document; the browser may not complain or ask for more."""
    complaints: list[str] = []
    requests: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(5_000)
    context.on("request", lambda request: requests.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation', (violation) =>"
        " console.error(`violates ${violation.violatedDirective}`))"
    )

    def open_it(document: ReportStream, *, fragment: str = "") -> Tab:
        tab = context.new_page()
        tab.goto(saved(document).as_uri() + fragment)
        return tab

    yield open_it
    context.close()
    assert complaints == []
    assert [url.partition(":")[0] for url in requests if not url.startswith("data:")] == ["file"]


@pytest.fixture
def document(
    a_document: MakeDocument, an_account: Make, a_key: Make, a_finding: Make
) -> ReportStream:
    """Return five findings of three keys in two accounts, one of each status."""
    accounts = [an_account(name="production"), an_account(id=TWO, name="Sandbox")]
    old, young = a_key(age_days=516), a_key(access_key_id="AKIAYOUNG", age_days=9)
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


def rows(tab: Tab) -> Locator:
    return tab.locator("#findings-body tr.finding")


def column(tab: Tab, name: str) -> list[str]:
    return rows(tab).locator(f".cell--{name}").all_inner_texts()


def said(tab: Tab) -> str:
    return tab.locator("#findings-count").inner_text()


def search(tab: Tab, text: str) -> None:
    before = said(tab)
    tab.get_by_label("Search").fill(text)
    tab.wait_for_function(
        "before => document.querySelector('#findings-count').innerText !== before", arg=before
    )


def test_open_findings_come_first_and_the_gravest_of_them(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    assert said(tab) == "All 5 findings"
    assert column(tab, "status") == ["Open"] * 3 + ["Indeterminate", "Exempt"]
    assert column(tab, "severity") == ["Critical", "Medium", "Medium", "Critical", "Medium"]


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("sandbox", 2),
        (TWO, 2),
        ("smtp", 2),
        ("akiayoung", 2),
        ("root-access", 2),
        ("516 days", 5),
        ("older sandbox", 1),
    ],
)
def test_search_looks_at_every_column(
    open_page: Open, document: ReportStream, text: str, left: int
) -> None:
    tab = open_page(document)

    tab.get_by_label("Search").fill(text)
    tab.wait_for_timeout(200)

    assert rows(tab).count() == left
    assert said(tab) == ("All 5 findings" if left == 5 else f"{left} of 5 findings")


def test_a_search_without_a_match_says_so(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    search(tab, "nobody")

    assert said(tab) == "0 of 5 findings"
    assert rows(tab).count() == 0


@pytest.mark.parametrize(
    ("label", "choice", "left"),
    [
        ("Severity", "Critical", 2),
        ("Status", "Exempt", 1),
        ("Rule", "root-access-key", 2),
        ("Account", f"Sandbox ({TWO})", 2),
    ],
)
def test_each_filter_narrows_and_reset_takes_it_back(
    open_page: Open, document: ReportStream, label: str, choice: str, left: int
) -> None:
    tab = open_page(document)
    form = tab.get_by_role("search")

    form.get_by_label(label).select_option(label=choice)
    assert said(tab) == f"{left} of 5 findings"
    form.get_by_role("button", name="Reset").click()
    tab.wait_for_timeout(50)

    assert said(tab) == "All 5 findings"


def test_filters_and_search_hold_together(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    tab.get_by_role("search").get_by_label("Status").select_option(label="Open")
    search(tab, "smtp")

    assert column(tab, "account") == [f"Sandbox\n{TWO}"]


def test_a_click_on_a_header_sorts_and_another_turns_it_round(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)
    header = tab.get_by_role("columnheader", name="Age")

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


def test_a_row_opens_to_the_facts_of_its_key(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)
    search(tab, "akialost older")
    button = rows(tab).get_by_role("button", name="Show the key's facts")

    button.press("Enter")

    facts = tab.locator("tr.detail").inner_text()
    assert button.get_attribute("aria-expanded") == "true"
    for text in (
        "2025-01-01 00:00:00 UTC",
        "99 days",
        "unknown: iam:GetAccessKeyLastUsed: AccessDenied",
        "rotate the key",
        "cis-aws-5.0.0:1.13, aws-fsbp:IAM.3",
    ):
        assert text in facts
    button.press("Enter")
    assert tab.locator("tr.detail").count() == 0


def test_a_last_use_is_told_with_service_and_region(
    open_page: Open, document: ReportStream
) -> None:
    tab = open_page(document)

    search(tab, "mail relay")
    search(tab, "akiayoung older")
    rows(tab).get_by_text("Active access key older").click()

    facts = tab.locator("tr.detail").inner_text()
    assert "2026-05-30 08:00:00 UTC · s3 · eu-central-1" in facts
    assert "mail relay, owner: ops" in facts


def test_a_link_to_a_finding_reveals_it(
    open_page: Open, a_document: MakeDocument, a_finding: Make
) -> None:
    findings = [a_finding(access_key_id=f"AKIA{n:04d}") for n in range(1000)]
    wanted = findings[777]["id"]

    tab = open_page(a_document(keys=[], findings=findings), fragment=f"#f-{wanted}")

    row = tab.locator(f"#f-{wanted}")
    assert "AKIA0777" in row.inner_text()
    assert row.get_by_role("button").get_attribute("aria-expanded") == "true"
    assert row.get_by_role("button").evaluate("one => one === document.activeElement")
    box = row.bounding_box()
    assert box is not None
    assert 0 < box["y"] < 900
    assert tab.locator("#findings-window").inner_text() == "Rows 601 to 800"
    tab.get_by_role("button", name="Show 200 earlier").click()
    assert tab.locator("#findings-window").inner_text() == "Rows 401 to 800"
    assert rows(tab).count() == 400


def test_a_link_shows_a_finding_that_the_filters_hide(
    open_page: Open, document: ReportStream, a_finding: Make
) -> None:
    tab = open_page(document)
    search(tab, "smtp")

    tab.evaluate("id => { location.hash = `f-${id}` }", a_finding()["id"])
    tab.locator("tr.detail").wait_for()

    assert said(tab) == "All 5 findings"
    assert tab.locator("tr.finding--revealed").count() == 1


def test_a_link_to_no_finding_says_so(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document, fragment="#f-%00%zz")

    assert said(tab) == "No finding of this report has the id in the address."


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


def test_hostile_names_are_text_and_run_nothing(
    open_page: Open, a_document: MakeDocument, an_account: Make, a_key: Make, a_finding: Make
) -> None:
    name = "</script><script>window.pwned=1</script><img src=x onerror='window.pwned=1'>"
    user = "\u202eevil\x1b[31m{{7*7}}"
    document = a_document(
        accounts=[an_account(name=name)],
        keys=[a_key(user_name=user, user_class=name, last_used={"service": name})],
        findings=[a_finding(user_name=user, message=name, title=name, controls=[name])],
    )

    tab = open_page(document)
    rows(tab).get_by_role("button").click()

    assert tab.evaluate("window.pwned") is None
    assert tab.locator("img").count() == 0
    assert column(tab, "user") == ["\\u202eevil\\u001b[31m{{7*7}}"]
    assert column(tab, "account") == [f"{name}\n{ONE}"]
    assert tab.locator("tr.detail").inner_text().count(name) == 3
    assert name in tab.locator("#accounts").inner_text()


def test_twenty_thousand_findings_can_be_worked_with(
    open_page: Open, a_document: MakeDocument, a_finding: Make
) -> None:
    one = a_finding()
    findings = [
        {**one, "id": f"{n:032x}", "access_key_id": f"AKIA{n:06d}", "account_id": f"{n // 50:012d}"}
        for n in range(20_000)
    ]

    tab = open_page(a_document(keys=[], findings=findings))
    assert said(tab) == "All 20,000 findings"
    assert rows(tab).count() == 200
    tab.get_by_role("button", name="Show 200 more").click()
    assert rows(tab).count() == 400
    tab.get_by_role("columnheader", name="Access key").get_by_role("button").dblclick()
    assert column(tab, "key")[0] == "AKIA019999"
    search(tab, "akia0123")

    assert said(tab) == "100 of 20,000 findings"
    assert not tab.get_by_role("button", name="Show").filter(has_text="more").is_visible()


def test_a_report_without_findings_is_whole(open_page: Open, a_document: MakeDocument) -> None:
    tab = open_page(a_document())

    assert said(tab) == "There are no findings."


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_schemes(
    open_page: Open, document: ReportStream, scheme: str
) -> None:
    tab = open_page(document)

    tab.emulate_media(color_scheme="dark" if scheme == "dark" else "light")

    assert tab.evaluate(LOW_CONTRAST) == []


def test_a_narrow_window_scrolls_only_down(open_page: Open, document: ReportStream) -> None:
    tab = open_page(document)

    tab.set_viewport_size({"width": 400, "height": 800})
    rows(tab).first.get_by_role("button").click()

    assert tab.evaluate("document.documentElement.scrollWidth") == 400


def test_without_javascript_the_page_says_what_is_missing(
    browser: Browser, document: ReportStream, saved: Callable[[ReportStream], Path]
) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(saved(document).as_uri())

    assert "needs JavaScript" in tab.locator("#findings").inner_text()
    assert tab.locator("#accounts-table tbody tr").count() == 2
    context.close()


# Returns the texts whose contrast with the nearest opaque background is below WCAG's 4.5 : 1.
LOW_CONTRAST = """() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => {
    const [r, g, b] = colour.map((part) => part / 255)
      .map((part) => (part <= 0.03928 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (one) => {
    for (let at = one; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const one = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !one.checkVisibility()) continue;
    const [a, b] = [light(rgb(getComputedStyle(one).color)), light(ground(one))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) low.push(`${one.className || one.tagName} ${ratio.toFixed(2)}`);
  }
  return [...new Set(low)];
}"""
