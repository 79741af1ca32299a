"""A real browser for the tests of the page, and what is read off the page in it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, sync_playwright
from playwright.sync_api import Page as Tab

OpenFile: TypeAlias = Callable[..., Tab]

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


@contextmanager
def launched() -> Iterator[Browser]:
    """Give a browser; without one fail in CI, and skip elsewhere, saying how to install it."""
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    if executable is None:
        missing = pytest.fail if os.environ.get("CI") else pytest.skip
        missing(f"the tests of the page need a browser: {HINT}")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield started
        started.close()


@contextmanager
def watched(browser: Browser) -> Iterator[OpenFile]:
    """Give a function that opens a file in a tab of its own.

    Asserts in the end that the browser complained of nothing, and asked for nothing but the file.
    """
    complaints: list[str] = []
    requests: list[str] = []
    opened: list[str] = []
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(5_000)
    context.on("request", lambda request: requests.append(request.url))
    context.on("console", lambda message: complaints.append(message.text))
    context.on("weberror", lambda error: complaints.append(str(error.error)))
    context.add_init_script(
        "document.addEventListener('securitypolicyviolation', (violation) =>"
        " console.error(`violates ${violation.violatedDirective}`))"
    )

    def open_it(path: Path, *, fragment: str = "") -> Tab:
        tab = context.new_page()
        opened.append(path.as_uri())
        tab.goto(path.as_uri() + fragment)
        return tab

    yield open_it
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == opened


def violations(tab: Tab, *, only: str = "", but: str = "") -> list[tuple[Any, ...]]:
    """Return what axe-core has against the page: rule and elements; by one rule, or all but one."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    options |= {"runOnly": [only]} if only else {}
    options |= {"rules": {but: {"enabled": False}}} if but else {}
    found = Axe().run(tab, options=options).response["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]][:3]) for one in found]


def rows(tab: Tab) -> Locator:
    """Return the rows of findings that are drawn."""
    return tab.locator("#findings-body tr.finding")


def groups(tab: Tab) -> Locator:
    """Return the rows of groups that are drawn."""
    return tab.locator("#findings-body tr.group")


def column(tab: Tab, name: str) -> list[str]:
    """Return the texts of a column's cells."""
    return rows(tab).locator(f".cell--{name}").all_inner_texts()


def said(tab: Tab) -> str:
    """Return how many findings the page says it shows."""
    return tab.locator("#findings-count").inner_text()


def search(tab: Tab, text: str) -> None:
    """Search for a text, and wait until the page says something else than before."""
    before = said(tab)
    tab.locator("#search").fill(text)
    tab.wait_for_function(
        "before => document.querySelector('#findings-count').innerText !== before", arg=before
    )


def choose(tab: Tab, label: str, choice: str) -> None:
    """Choose from one of the selects above the findings."""
    tab.get_by_role("search").get_by_label(label).select_option(label=choice)
