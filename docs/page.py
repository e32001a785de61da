"""The picture of the exported page in docs/export.md. Run by make.py; needs Chromium, ChromeDriver and npm."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

sys.path.append(str(Path(__file__).parents[1] / "tests"))
import browser
import seewhy
from seewhy.photos import embedded_photo
from seewhy.render import figure
from test_page import choose, served, start

PICTURE = Path(__file__).with_name("export-page.jpg")


def picture() -> None:
    """docs/export-page.jpg: the page on a desktop by day, and on a phone by night."""
    shots = []
    with TemporaryDirectory() as kept:
        folder = seewhy.export(seewhy.load("lite0"), Path(kept) / "page", to="page")
        with served(folder) as (address, _):
            for size, dark, photo in ((browser.DESKTOP, False, "cat"), (browser.PHONE, True, "coffee")):
                with browser.open_browser(size, dark=dark) as driver:
                    start(driver, address)
                    choose(driver, Path(embedded_photo(photo).path))
                    time.sleep(1)  # the bars grow
                    with Image.open(browser.full_page(driver, Path(kept) / "shot.png")) as shot:
                        shots.append(shot.convert("RGB"))
    height = 700
    fitted = [shot.resize((round(shot.width * height / shot.height), height)) for shot in shots]
    sheet = Image.new("RGB", (sum(shot.width for shot in fitted) + 24 * (len(fitted) - 1), height), "white")
    left = 0
    for shot in fitted:
        sheet.paste(shot, (left, 0))
        left += shot.width + 24
    figure.save(sheet, PICTURE)
