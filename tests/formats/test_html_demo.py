"""The demo's report in a real browser, as a person would use it; axe-core finds nothing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser
from playwright.sync_api import Page as Tab

from tests.browser import choose, column, groups, rows, said, search, violations
from tests.command import runs_in


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """The text of the demo's report with masked keys; and the whole one, with a plan."""
    folder = tmp_path_factory.mktemp("demo")
    page = folder / "latest/report.html"
    iamaudit, there = runs_in(folder), ("--output", str(folder))
    iamaudit("demo", "--quiet", "--format", "html", "--mask-keys", *there)
    masked = page.read_text(encoding="utf-8")
    iamaudit("plan", *there)
    iamaudit("report", "--format", "html", *there)
    return masked, page


@pytest.fixture
def report(reports: tuple[str, Path]) -> Path:
    return reports[1]


@pytest.fixture
def tab(open_file: Callable[..., Tab], report: Path) -> Tab:
    return open_file(report)


def test_it_is_searched_filtered_sorted_grouped_and_linked_to(tab: Tab) -> None:
    total = int(said(tab).split()[1])
    assert total > 100

    search(tab, "prod")
    found = int(said(tab).split()[0])
    assert 0 < found < total
    choose(tab, "Severity", "High")
    assert set(column(tab, "severity")) == {"High"}
    tab.locator("#findings-head").get_by_role("button", name="Age").click()
    ages = [int(text.split()[0].replace(",", "")) for text in column(tab, "age")]
    assert ages == sorted(ages)
    choose(tab, "Group by", "Owner")
    assert groups(tab).count() > 1
    rows(tab).last.get_by_role("button").click()
    link = tab.locator("tr.detail a").last
    name = link.inner_text()
    link.click()

    tab.locator("tr.finding--revealed").wait_for()
    assert tab.locator("tr.finding--revealed").get_attribute("id") == f"f-{name}"
    assert tab.evaluate("location.hash") == f"#finding={name}"
    assert said(tab) == f"All {total} findings"


def test_nobody_is_kept_out(tab: Tab) -> None:
    """By axe-core: wide and narrow, in light and dark, with groups, details and tables open."""
    choose(tab, "Group by", "Owner")
    rows(tab).first.get_by_role("button").click()
    for summary in ("#plan summary", "#compliance summary"):
        tab.locator(summary).first.click()

    wide = violations(tab)
    tab.emulate_media(color_scheme="dark")
    dark = violations(tab, only="color-contrast")
    tab.emulate_media(color_scheme="light")
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.wait_for_timeout(100)
    narrow = violations(tab, but="color-contrast")

    assert (wide, dark, narrow) == ([], [], [])


def background(tab: Tab) -> str:
    colour: str = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    return colour


def test_it_follows_the_colours_of_the_system(tab: Tab) -> None:
    tab.emulate_media(color_scheme="light")
    light = background(tab)
    tab.emulate_media(color_scheme="dark")
    dark = background(tab)
    tab.emulate_media(color_scheme="dark", media="print")

    assert light != dark
    assert background(tab) == "rgb(255, 255, 255)"


def test_a_narrow_screen_scrolls_only_down(tab: Tab) -> None:
    tab.set_viewport_size({"width": 400, "height": 800})
    tab.wait_for_timeout(100)
    rows(tab).first.get_by_role("button").click()

    assert tab.evaluate("document.documentElement.scrollWidth") == 400
    scroller = "(one) => [one.scrollWidth, one.clientWidth]"
    inner, outer = tab.locator("#findings-scroller").evaluate(scroller)
    assert inner == outer
    cut = tab.evaluate(
        "[...document.querySelectorAll('tr.finding .cell--used')].filter((cell) =>"
        " cell.getBoundingClientRect().bottom > cell.parentElement.getBoundingClientRect().bottom)"
        ".length"
    )
    assert cut == 0


def test_it_is_printed_with_every_finding(tab: Tab) -> None:
    total = int(said(tab).split()[1])
    tab.evaluate(
        "addEventListener('beforeprint', () => { window.printed = ['tr.finding', '.fold[open]']"
        ".map((each) => document.querySelectorAll(each).length) })"
    )

    pdf = tab.pdf()

    assert pdf.startswith(b"%PDF")
    assert tab.evaluate("window.printed") == [total, 1]
    assert rows(tab).count() < 60
    assert tab.locator(".fold[open]").count() == 0


def test_the_charts_tell_every_key_and_the_thresholds(tab: Tab) -> None:
    keys = int(tab.locator("#ages .lead").inner_text().split()[1])
    by_age, by_use = (
        tab.locator(".chart").nth(n).locator(".chart__row td.num").all_inner_texts() for n in (0, 1)
    )

    assert sum(int(text.split()[0]) for text in by_age) == keys
    assert sum(int(text.split()[0]) for text in by_use) == keys
    assert tab.locator(".chart").first.locator(".chart__line").all_inner_texts() == [
        "over 30 d: key-never-used",
        "over 90 d: key-too-old",
    ]


def test_the_essentials_need_no_script(browser: Browser, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(report.as_uri())

    assert "NOT complete" in tab.locator("#verdict").inner_text()
    assert "needs JavaScript" in tab.locator("#findings").inner_text()
    for section in ("gaps", "ages", "plan", "compliance", "rules", "accounts", "about"):
        assert tab.locator(f"#{section}").is_visible()
    context.close()


def test_a_scan_with_masked_keys_tells_none(reports: tuple[str, Path]) -> None:
    masked, page = reports

    assert re.search("AKIA[A-Z0-9]{16}", page.read_text(encoding="utf-8"))
    assert not re.search("AKIA[A-Z0-9]{16}", masked)
    assert re.search(r"AKIA\*{12}[A-Z0-9]{4}", masked)
