"""The web page in a real browser: what a person does with it, and what they see."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import numpy as np
import pytest
from PIL import Image

import browser
import seewhy
from seewhy.photos import FILES, embedded_photo

PATIENCE = 30.0
"""Seconds that an answer may take on a machine that does much else."""


class Served:
    """`seewhy web` in a process of its own."""

    def __init__(self, uploads: Path) -> None:
        script = Path(__file__).with_name("web_served.py")
        self.process = subprocess.Popen(
            [sys.executable, script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "GRADIO_TEMP_DIR": str(uploads)},
        )
        line = self.process.stdout.readline()
        self.address = re.search(r"http://127\.0\.0\.1:\d+/", line)[0]

    def tell(self, what: str) -> int:
        """What the process knows: how many `passes` it made, how many `visitors` it remembers."""
        print(what, file=self.process.stdin, flush=True)
        return int(self.process.stdout.readline())

    def stop(self, number: int = signal.SIGINT) -> int:
        """Interrupt it as Ctrl+C does, or by another signal; its exit code."""
        self.process.send_signal(number)
        try:
            return self.process.wait(PATIENCE)
        finally:
            self.process.kill()
            self.process.communicate()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    browser.need()
    pytest.importorskip("gradio", reason='the page is made with Gradio: pip install -c constraints.txt -e ".[web]"')
    uploads = tmp_path_factory.mktemp("uploads")
    served = Served(uploads)
    yield served
    assert served.stop() in (0, 130)
    assert {file.name for file in uploads.rglob("*.*")} <= set(FILES.values())  # no visitor's photo


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_uploaded_photos_go_with_the_page(number, tmp_path, coffee):
    pytest.importorskip("gradio", reason='the page is made with Gradio: pip install -c constraints.txt -e ".[web]"')
    httpx = pytest.importorskip("httpx", reason="it comes with Gradio")
    served = Served(tmp_path)
    try:
        files = {"files": ("mine.png", coffee.read_bytes())}
        httpx.post(served.address + "gradio_api/upload", files=files).raise_for_status()
        assert list(tmp_path.rglob("mine.png"))
    finally:
        assert served.stop(number) in (0, 130, 143)
    assert not list(tmp_path.rglob("mine.png"))


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    downloads = tmp_path_factory.mktemp("downloads")
    with browser.open_browser(downloads=downloads) as driver:
        driver.downloads = downloads
        yield driver


@pytest.fixture
def visit(served: Served, chromium: Any) -> Iterator["Visit"]:
    """A fresh tab with the page."""
    yield Visit(chromium, served.address)
    for handle in chromium.window_handles[1:]:
        chromium.switch_to.window(handle)
        chromium.close()
    chromium.switch_to.window(chromium.window_handles[0])


class Visit:
    """A person at the page, in a tab of their own."""

    def __init__(self, driver: Any, address: str, new: bool = True) -> None:
        self.driver = driver
        if new:
            driver.switch_to.new_window("tab")
        self.tab = driver.current_window_handle
        driver.get(address)
        self.until(lambda: self.all("#photo input[type=file]") and self.all("#result .sw-note"))

    def all(self, css: str) -> list[Any]:
        return self.driver.find_elements("css selector", css)

    def one(self, css: str) -> Any:
        [found] = self.all(css)
        return found

    def until(self, true: Callable[[], Any]) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                if found := true():
                    return found
            except Exception as error:  # the page was drawn anew while it was looked at
                if time.monotonic() > end:
                    raise error
            if time.monotonic() > end:
                raise AssertionError(f"this did not come true; the page says: {self.said}")
            time.sleep(0.05)

    @property
    def said(self) -> str:
        return self.one("#result").text

    @property
    def titles(self) -> list[str]:
        return [found.text for found in self.all("#result figcaption strong")]

    @property
    def heats(self) -> list[str]:
        return [found.get_attribute("src") for found in self.all("#result .sw-heat")]

    @property
    def bars(self) -> list[Any]:
        return self.all(".sw-bar")

    @property
    def pressed(self) -> list[str]:
        return [bar.find_element("class name", "sw-name").text for bar in self.all(".sw-bar[aria-pressed=true]")]

    def example(self, place: int, expected: str) -> None:
        self.all("button.gallery-item")[place].click()
        self.until(lambda: len(self.titles) == 2 and self.titles[1].startswith(expected))

    def upload(self, path: Path) -> None:
        self.one("#photo input[type=file]").send_keys(str(path))

    def pick(self, name: str, option: str) -> None:
        """Choose from a list with the mouse."""
        self.one(f"#{name} input").click()
        choices = self.until(lambda: [o for o in self.all("ul[role=listbox] li") if option in o.text.split("\n")[-1]])
        choices[0].click()


def keys() -> Any:
    from selenium.webdriver.common.keys import Keys

    return Keys


@pytest.fixture
def passes(served: Served) -> Callable[[], int]:
    """How many forward passes were made since the test began."""
    before = served.tell("passes")
    return lambda: served.tell("passes") - before


def test_an_example_is_one_click_away_and_nothing_comes_from_elsewhere(visit, lite0, coffee):
    visit.example(1, "espresso")
    assert visit.pressed == ["espresso"]
    assert [bar.find_element("class name", "sw-name").text for bar in visit.bars][:2] == ["espresso", "cup"]
    explanation = seewhy.explain(lite0, coffee)
    said = " ".join(visit.said.split())
    predicted, where = explanation.describe().split(". ", 1)
    assert predicted + "." in said and where in said
    assert browser.requested_hosts(visit.driver) == {"127.0.0.1"}
    assert browser.complaints(visit.driver) == []


def test_a_photo_is_uploaded_and_other_questions_take_no_further_pass(visit, passes, tmp_path):
    photo = tmp_path / "a cat.jpg"
    embedded_photo("cat").image.save(photo)
    visit.upload(photo)
    visit.until(lambda: visit.titles[1].startswith("tiger cat"))
    assert passes() == 1

    drawn = [visit.heats]
    visit.bars[1].click()  # another class
    visit.until(lambda: visit.titles[1].startswith("Egyptian cat"))
    assert visit.pressed == ["Egyptian cat"]
    drawn.append(visit.heats)
    visit.pick("method", "layer-cam")
    visit.until(lambda: "layer-cam at" in visit.said)
    assert "layer-cam" in visit.one("#about").text
    drawn.append(visit.heats)
    visit.pick("colours", "magma")
    visit.until(lambda: visit.heats != drawn[-1])
    drawn.append(visit.heats)
    assert len({tuple(heats) for heats in drawn}) == 4

    seen = visit.one(".sw-heat").screenshot_as_png
    slider = visit.one("#opacity input[type=range]")
    slider.send_keys(keys().HOME)
    visit.until(lambda: visit.one(".sw-heat").value_of_css_property("opacity") == "0")
    assert visit.one(".sw-heat").screenshot_as_png != seen and visit.heats == drawn[-1]
    assert passes() == 1


def test_any_class_by_its_name_and_two_of_them_side_by_side_with_the_keyboard(visit, passes):
    visit.example(1, "espresso")
    box = visit.one("#classes input")
    box.send_keys("limous")
    visit.until(lambda: [option.text for option in visit.all("ul[role=listbox] li")] == ["limousine"])
    box.send_keys(keys().ENTER)
    visit.until(lambda: len(visit.titles) == 3)
    assert visit.titles[1].startswith("espresso (9") and visit.titles[2].startswith("limousine (below")
    assert len(visit.heats) == len(set(visit.heats)) == 2 and passes() == 1

    bar = visit.bars[1]
    visit.driver.execute_script("arguments[0].focus()", visit.bars[0])
    visit.driver.switch_to.active_element.send_keys(keys().TAB)
    assert visit.driver.switch_to.active_element == bar
    bar.send_keys(keys().ENTER)
    visit.until(lambda: visit.titles[1:] == ["cup (1%)"])
    assert visit.pressed == ["cup"]


def test_two_methods_side_by_side_and_one_that_takes_no_layer(visit):
    visit.example(3, "missile")
    visit.pick("other", "layer-cam")
    visit.until(lambda: len(visit.titles) == 3)
    assert [title.split(", by ")[1] for title in visit.titles[1:]] == ["grad-cam", "layer-cam"]
    figures = visit.all("#result figure")
    assert len({figure.location["y"] for figure in figures}) == 1  # side by side
    visit.pick("other", "nothing")
    visit.until(lambda: len(visit.titles) == 2)
    visit.pick("method", "gradient")
    visit.until(lambda: "gradient at input" in visit.said)
    visit.until(lambda: visit.one("#layer input").get_attribute("disabled") is not None)
    assert "at no layer" in visit.one("#about").text
    visit.pick("method", "grad-cam")
    visit.until(lambda: visit.one("#layer input").get_attribute("disabled") is None)


def test_another_layer(visit, passes):
    visit.example(1, "espresso")
    visit.pick("layer", "14×14")
    visit.until(lambda: "14" in visit.one("#layer input").get_attribute("value") and "at _swish" not in visit.said)
    assert passes() == 2 and len(visit.heats) == 1


def test_a_photo_is_taken_with_the_camera(visit):
    """Chromium's own: a green picture that moves."""
    visit.one("#photo button[aria-label='Capture from camera']").click()
    visit.until(lambda: [b for b in visit.all("#photo button") if "Webcam" in b.text])[0].click()
    capture = visit.until(lambda: visit.one("#photo button[aria-label='capture photo']"))
    time.sleep(0.5)  # until it sees something
    capture.click()
    visit.until(lambda: len(visit.heats) == 1 and len(visit.bars) == 5)


def test_a_wrong_file_is_told_in_words_and_the_next_photo_works(visit, tmp_path, coffee):
    fake = tmp_path / "fake.jpg"
    fake.write_text("this is no photo")
    visit.upload(fake)
    problem = visit.until(lambda: visit.one(".sw-problem[role=alert]")).text
    assert "fake.jpg is not an image" in problem and "/" not in problem and visit.bars == []
    cut = tmp_path / "cut.jpg"
    Image.open(coffee).convert("RGB").save(cut)
    cut.write_bytes(cut.read_bytes()[:3000])
    visit.until(lambda: visit.all("#photo input[type=file]"))  # the browser could not show it either
    assert "fake.jpg" in visit.one(".sw-problem").text
    visit.upload(cut)
    visit.until(lambda: "cut.jpg is truncated" in visit.one(".sw-problem").text)
    visit.example(1, "espresso")
    assert visit.all(".sw-problem") == []


def test_a_model_that_is_not_there_is_told_in_words(visit):
    visit.example(1, "espresso")
    box = visit.one("#model input")
    box.click()
    box.send_keys(keys().CONTROL, "a")
    box.send_keys("torchvison:resnet50", keys().ENTER)
    visit.until(lambda: "unknown model 'torchvison:resnet50': did you mean" in visit.one(".sw-problem").text)
    assert "The model stays lite0." in visit.said and visit.titles[1].startswith("espresso")
    visit.until(lambda: visit.one("#model input").get_attribute("value") == "lite0")
    visit.bars[0].click()  # the same class again
    visit.until(lambda: visit.titles[1].startswith("espresso") and not visit.all(".sw-problem"))


def test_without_classes_the_best_is_shown_and_of_five_the_first_four(visit):
    visit.example(1, "espresso")
    box = visit.one("#classes input")
    for count, name in enumerate(("limousine", "banana", "rocking chair", "laptop"), start=2):
        box.send_keys(name, keys().ENTER)
        visit.until(lambda count=count: len(visit.titles) == 1 + min(count, 4))
    visit.until(lambda: "Up to 4 classes are shown" in visit.one(".toast-body").text)
    visit.until(lambda: len(visit.all("#classes .token")) == 4)
    visit.driver.execute_script("document.activeElement.blur()")
    visit.bars[1].click()
    visit.until(lambda: visit.titles[1:] == ["cup (1%)"])
    visit.one("#classes .remove-all").click()
    visit.until(lambda: visit.titles[1].startswith("espresso") and visit.pressed == ["espresso"])
    visit.until(lambda: "espresso" in visit.one("#classes .token").text)
    box.send_keys(keys().BACKSPACE)
    visit.until(lambda: "espresso" in visit.one("#classes .token").text)


def test_controls_are_usable_and_within_their_bounds(visit):
    assert not visit.one("#picture").is_enabled() and not visit.one("#raw").is_enabled()
    visit.until(lambda: visit.all("button.gallery-item")[1].get_attribute("aria-label") == "Example: coffee.png")
    visit.example(1, "espresso")
    visit.until(lambda: visit.one("#picture").is_enabled() and visit.one("#raw").is_enabled())
    number = visit.one("#opacity input[type=number]")
    number.send_keys(keys().CONTROL, "a")
    number.send_keys("5", keys().TAB)
    visit.until(lambda: number.get_attribute("value") == "1")
    assert visit.one(".sw-heat").value_of_css_property("opacity") == "1"
    visit.driver.execute_script("window.scrollTo(0, document.documentElement.scrollHeight)")
    where = "const box = document.querySelector('.sw-heat').getBoundingClientRect(); return [box.top, box.bottom]"
    top, bottom = visit.driver.execute_script(where)
    assert 0 <= top < bottom <= 1000  # what is changed stays in sight of the controls
    visit.one("#layer input").click()
    visit.until(lambda: len(visit.all("ul[role=listbox] li")) > 100)  # Gradio shows 100 unless told
    visit.driver.execute_script("document.activeElement.blur()")
    visit.one("#photo button[aria-label='Remove Image']").click()
    visit.until(lambda: not visit.one("#picture").is_enabled() and "Where did the model look?" in visit.said)


def test_of_two_methods_each_class_has_a_row(visit):
    visit.example(1, "espresso")
    visit.one("#classes input").send_keys("limousine", keys().ENTER)
    visit.until(lambda: len(visit.titles) == 3)
    visit.driver.execute_script("document.activeElement.blur()")
    visit.pick("other", "layer-cam")
    visit.until(lambda: len(visit.titles) == 5)
    rows = [figure.location["y"] for figure in visit.all("#result figure")]
    assert rows[0] == rows[1] == rows[2] < rows[3] == rows[4]
    assert [title.split(" (")[0] for title in visit.titles[1:]] == ["espresso", "espresso", "limousine", "limousine"]
    visit.one("#raw").click()
    folder = visit.driver.downloads
    archive = visit.until(lambda: [path for path in folder.iterdir() if path.name == "coffee_maps.zip"])[0]
    with ZipFile(archive) as files:
        assert files.namelist() == ["coffee_grad-cam.npz", "coffee_layer-cam.npz"]


def test_two_tabs_at_once_have_a_photo_each(served, visit):
    other = Visit(visit.driver, served.address)
    cup, rocket = other, visit
    cup.all("button.gallery-item")[1].click()
    visit.driver.switch_to.window(rocket.tab)
    rocket.all("button.gallery-item")[3].click()
    rocket.until(lambda: rocket.titles[1].startswith("missile"))
    visit.driver.switch_to.window(cup.tab)
    cup.until(lambda: cup.titles[1].startswith("espresso"))
    cup.bars[1].click()
    cup.until(lambda: cup.titles[1].startswith("cup"))
    visit.driver.switch_to.window(rocket.tab)
    assert rocket.titles[1].startswith("missile")
    rocket.bars[1].click()
    rocket.until(lambda: rocket.titles[1].startswith("projectile"))


def test_the_picture_and_the_raw_map_are_downloaded(visit, lite0, coffee):
    visit.example(1, "espresso")
    visit.bars[1].click()
    visit.until(lambda: visit.titles[1].startswith("cup"))
    folder = visit.driver.downloads

    def came(name: str) -> Path:
        return visit.until(lambda: [path for path in folder.iterdir() if path.name == name])[0]

    visit.one("#picture").click()
    expected = seewhy.explain(lite0, coffee, "cup")
    with Image.open(came("coffee_cam.png")) as picture:
        difference = abs(np.asarray(picture, np.int16) - np.asarray(expected.overlay(), np.int16))
    assert picture.size == (600, 400) and difference.max() <= 1
    visit.one("#raw").click()
    opened = seewhy.open(came("coffee_grad-cam.npz"))
    np.testing.assert_allclose(opened.maps, expected.maps.numpy(), rtol=1e-4, atol=1e-6)
    assert opened.labels == [["cup"]] and opened.describe() == expected.describe()


def test_a_slow_method_gives_way_to_the_next_wish(visit, passes):
    visit.example(1, "espresso")
    visit.pick("method", "rise")
    visit.until(lambda: passes() > 3)  # it is under way
    visit.pick("method", "layer-cam")
    visit.until(lambda: "layer-cam at" in visit.said)
    count = passes()
    time.sleep(0.5)
    assert passes() == count


def test_a_visitor_who_leaves_is_forgotten(served, visit):
    before = served.tell("visitors")
    visit.example(1, "espresso")
    assert served.tell("visitors") == before + 1
    visit.driver.close()
    visit.driver.switch_to.window(visit.driver.window_handles[0])
    end = time.monotonic() + PATIENCE
    while served.tell("visitors") and time.monotonic() < end:
        time.sleep(0.1)
    assert served.tell("visitors") == 0


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_is_cut_off_in_light_and_dark(served, dark, tmp_path):
    with browser.open_browser(browser.PHONE, dark=dark) as driver:
        visit = Visit(driver, served.address, new=False)
        photo = tmp_path / "coffee.png"
        embedded_photo("coffee").image.save(photo)
        visit.upload(photo)
        visit.until(lambda: visit.titles[1:] and visit.titles[1].startswith("espresso"))
        assert driver.execute_script("return document.documentElement.scrollWidth") == 390
        for element in [*visit.all("#result figure"), *visit.bars, *visit.all("input:not([type=file])")]:
            if element.is_displayed():
                assert element.rect["x"] >= 0 and element.rect["x"] + element.rect["width"] <= 390
        assert all(bar.rect["height"] >= 40 for bar in visit.bars)  # for a thumb
        words, ground = (_luminance(visit.one(css), name) for css, name in (
            (".sw-sentence", "color"), ("body", "background-color")
        ))  # fmt: skip
        assert (words > ground) == dark
        assert (max(words, ground) + 0.05) / (min(words, ground) + 0.05) > 7  # WCAG's AAA


def _luminance(element: Any, name: str) -> float:
    """Of a colour, as WCAG reckons it."""
    values = [float(v) / 255 for v in re.findall(r"[\d.]+", element.value_of_css_property(name))[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))
