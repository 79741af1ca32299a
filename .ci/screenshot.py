"""Take the picture of the demo's report that the README shows: `make picture`."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

PICTURE = Path(__file__).resolve().parents[1] / "docs/images/report.png"
IAMAUDIT = Path(sys.executable).with_name("iamaudit")
SIZE = {"width": 1200, "height": 800}


def main() -> None:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("a picture needs Chromium, on Debian or Ubuntu: apt-get install chromium")
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        demo = [IAMAUDIT, "demo", "--quiet", "--format", "html", "--output", folder]
        subprocess.run(demo, check=True, stdout=subprocess.DEVNULL)
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE, color_scheme="light")
        page.goto((Path(folder) / "latest").resolve().joinpath("report.html").as_uri())
        PICTURE.parent.mkdir(exist_ok=True)
        page.screenshot(path=PICTURE)
        browser.close()


if __name__ == "__main__":
    main()
