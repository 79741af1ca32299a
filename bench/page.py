"""The HTML report in Chromium: how long until it can be read, and until a filter shows."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench.contenders.registry import IAMAUDIT
from bench.measure import Ran, Sample, measure
from bench.table import Check, Result, Row

_READY = "() => document.querySelector('#findings-count')?.textContent"
_TYPED = """(text) => new Promise((done) => {
  const field = document.querySelector('#search');
  const told = document.querySelector('#findings-count');
  const begun = performance.now();
  const drawn = () => done([(performance.now() - begun) / 1000, told.textContent]);
  const seen = new MutationObserver(() => {
    seen.disconnect();
    requestAnimationFrame(() => setTimeout(drawn));
  });
  seen.observe(told, { childList: true });
  field.value = text;
  field.dispatchEvent(new Event('input', { bubbles: true }));
})"""
"""Seconds from a key press until the rows that are left are on the screen, and how many."""
_WORDS = ("s3", "never used", "2220000", "deploy key-too-old", "nobody has this")


@dataclass(frozen=True, slots=True, kw_only=True)
class Browsed:
    """What a person waits for, in seconds."""

    opened: float
    filtered: float
    """The slowest of several searches."""


def browse(report: Path) -> Browsed:
    """Open a report in a browser of its own, and search in it."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 -- of the tests' extra

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=_chromium(), args=["--headless", "--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        begun = time.perf_counter()
        page.goto(report.as_uri(), wait_until="commit")
        page.wait_for_function(_READY)
        opened = time.perf_counter() - begun
        found = [page.evaluate(_TYPED, words) for words in _WORDS]
        browser.close()
    if len({told for _, told in found}) == 1:
        raise RuntimeError(f"the searches found the same: {found[0][1]}")
    return Browsed(opened=opened, filtered=max(seconds for seconds, _ in found))


def result(store: Path, *, keys: int, runs: int) -> Result:
    """Write the report of a store, and look at it."""
    title = f"HTML of {keys:,} keys in Chromium"
    if _chromium() is None:
        return Result(id="i", title=title, skipped=["there is no chromium on PATH"])
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        samples, seen = [], []
        for _ in range(runs):
            ran = _written(store, Path(name))
            samples.append(ran.sample)
            seen.append(browse((Path(name) / "latest").resolve() / "report.html"))
        size = (Path(name) / "latest/report.html").stat().st_size / 1e6
    opened, filtered = (sorted(getattr(each, part) for each in seen) for part in _PARTS)
    return Result(
        id="i",
        title=f"{title} ({size:,.0f} MB)",
        rows=[Row(name="iamaudit report", runs=runs, sample=Sample.median_of(samples))],
        checks=[
            Check(name="opens", value=opened[runs // 2], target=3, unit="s"),
            Check(
                name="filters, the slowest of five", value=filtered[runs // 2], target=0.2, unit="s"
            ),
        ],
    )


_PARTS = ("opened", "filtered")


def _written(store: Path, folder: Path) -> Ran:
    command: list[str | Path] = [IAMAUDIT, "report", "--format", "html", "--fail-on", "never"]
    ran = measure([*command, "--store", store, "--output", folder])
    if ran.code:
        raise RuntimeError(ran.stderr or ran.stdout)
    return ran


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
