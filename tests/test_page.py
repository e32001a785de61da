"""The exported page in a real browser: it has to show what Python shows, and to talk to nobody."""

import gzip
import http.server
import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import browser
import seewhy
from seewhy.adapters._onnx_metadata import About
from seewhy.errors import InputError, MissingPackageError, ModelError, SaveError
from seewhy.export import _runtime
from seewhy.export.onnx import Written
from seewhy.export.page import write_page
from seewhy.images import Photo, open_photo
from seewhy.photos import embedded_photo
from seewhy.preprocess import Preprocess

CAT, ESPRESSO = 282, 967


# ---- the page --------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        self.server.asked.append(self.path)  # type: ignore[attr-defined]


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """A folder as any web server gives it: its address, and what was asked of it."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/", server.asked  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def folder(lite0, tmp_path_factory) -> Path:
    browser.need()
    if shutil.which("npm") is None:
        words = "this test makes a page, whose runtime comes from npm: install Node.js"
        pytest.fail(words) if os.environ.get("CI") else pytest.skip(words)
    return seewhy.export(lite0, tmp_path_factory.mktemp("page") / "out", to="page")


@pytest.fixture(scope="module")
def address(folder) -> Iterator[str]:
    with served(folder) as (address, _):
        yield address


@pytest.fixture(scope="module")
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="module")
def _driver(address, downloads) -> Iterator[object]:
    with browser.open_browser(downloads=downloads) as driver:
        yield driver


@pytest.fixture
def driver(_driver, address):
    """A page that has started, as a new visitor sees it."""
    start(_driver, address)
    return _driver


@pytest.fixture(scope="module")
def explainer(lite0) -> seewhy.Explainer:
    return seewhy.Explainer(lite0)


def start(driver, address: str) -> None:
    driver.get(address)
    wait(driver, "window.seewhy !== undefined")
    assert problem(driver) == "" and "Ready" in text(driver, "status")


def wait(driver, condition: str, seconds: float = 60) -> None:
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(driver, seconds, poll_frequency=0.05).until(lambda d: d.execute_script(f"return {condition}"))


def element(driver, name: str):
    return driver.find_element("id", name)


def text(driver, name: str) -> str:
    return element(driver, name).text


def problem(driver) -> str:
    return element(driver, "problem").text


def choose(driver, path: Path) -> None:
    """Choose a photo, and wait for what comes of it."""
    doing(driver, lambda: element(driver, "file").send_keys(str(path)))


def doing(driver, act) -> None:
    """Do something, and wait until another explanation is shown."""
    driver.execute_script("window.before = seewhy.shown.found")
    act()
    wait(driver, "seewhy.shown.found !== null && seewhy.shown.found !== window.before")


def shown(driver) -> dict:
    """What the page shows, as NumPy, and what the model was given."""
    found = driver.execute_async_script(
        """const done = arguments[0], { index, scores, map, region } = seewhy.shown.found;
        seewhy.input().then(({ input, shape }) => done({ index, region, logits: Array.from(scores),
            map: Array.from(map.values), cells: map.shape, input: Array.from(input), shape }));"""
    )
    return {
        "index": found["index"],
        "region": found["region"],
        "logits": np.asarray(found["logits"]),
        "map": np.asarray(found["map"]).reshape(found["cells"]),
        "input": np.asarray(found["input"], np.float32).reshape(found["shape"]),
    }


def assert_as_in_python(driver, explainer: seewhy.Explainer, photo: Path, index: int | None = None) -> dict:
    """The page's input, scores and map are Python's; the map and the scores to 1e-4 of their maximum."""
    found, known = shown(driver), explainer(photo, index)
    prepared, geometry = explainer.preprocess(open_photo(photo))
    assert found["index"] == known.targets[0][0].index
    assert np.array_equal(found["input"][0], prepared)
    assert np.allclose(found["region"], geometry.region)
    logits, maps = known.outputs.numpy()[0], known.maps[0, 0].numpy()
    assert maps.max() > 0
    assert abs(found["logits"] - logits).max() <= 1e-4 * abs(logits).max()
    assert abs(found["map"] - maps).max() <= 1e-4 * maps.max()
    return found


# ---- what it shows ---------------------------------------------------------------------------------------


def turned(path: Path, tmp_path: Path) -> Path:
    """A photo as a phone stores it: on its side, and EXIF says so."""
    image = Image.open(path).convert("RGB")
    exif = image.getexif()
    exif[274] = 6
    image.save(tmp_path / "turned.jpg", exif=exif, quality=90)
    return tmp_path / "turned.jpg"


def pale(path: Path, tmp_path: Path) -> Path:
    """One with a part that is transparent, as drawings have."""
    image = Image.open(path).convert("RGBA").resize((300, 500))
    image.paste((0, 0, 0, 0), (0, 0, 150, 250))
    image.save(tmp_path / "pale.png")
    return tmp_path / "pale.png"


@pytest.mark.parametrize("form", ["png", "jpeg", "turned", "transparent"])
def test_a_photo_looks_as_in_python(driver, explainer, tmp_path, form):
    coffee, rocket = embedded_photo("coffee").path, embedded_photo("rocket").path
    photos = {"png": lambda: coffee, "jpeg": lambda: rocket, "turned": lambda: turned(coffee, tmp_path),
              "transparent": lambda: pale(coffee, tmp_path)}  # fmt: skip
    photo = photos[form]()
    choose(driver, photo)
    assert_as_in_python(driver, explainer, photo)
    [best] = explainer(photo).predictions(top=1)
    row = driver.find_element("css selector", ".row:has(:checked)").text.split("\n")
    assert row == [best.label, f"{100 * best.probability:.1f} %"]
    assert f"'{best.label}'" in text(driver, "status") and problem(driver) == ""
    told = explainer(photo).describe(predicted=False)
    crop = re.findall(r"The model saw \d+% of the photo\.", told)
    assert re.findall(r"The model saw .*? of the photo\.", text(driver, "status")) == crop
    assert element(driver, "legend").text.split() == ["less", "more", "evidence;", "no", "colour:", "none"]
    assert "linear-gradient" in element(driver, "scale").value_of_css_property("background-image")


def test_the_picture_that_is_saved_is_that_of_python(driver, explainer, downloads):
    coffee = embedded_photo("coffee").path
    choose(driver, coffee)
    element(driver, "save").click()
    wanted = downloads / "espresso_cam.png"
    wait_for(wanted)
    ours, theirs = (
        np.asarray(image.convert("RGB"), int) for image in (explainer(coffee).overlay(), Image.open(wanted))
    )
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() <= 3  # a browser mixes colours in 8 bits
    assert abs(theirs - rgb(Image.open(coffee))).max() > 50


def rgb(image: Image.Image) -> np.ndarray:
    return np.asarray(image.convert("RGB"), int)


def wait_for(path: Path) -> None:
    import time

    until = time.monotonic() + 20
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} was not saved"
        time.sleep(0.05)


def test_the_model_is_given_what_pillow_makes_of_it(driver):
    """All filters, colours and forms of resizing: not a bit is another one."""
    rng = np.random.default_rng(0)
    forms = [((31, 45), (22, 20), 24, "rgb", "round"), ((60, 37), (30, 33), 28, "bgr", "floor"),
             ((9, 17), (40, 41), (36, 50), "grey", "round"), ((50, 41), (21, 30), None, "rgb", "round"),
             ((160, 133), (24, 24), 26, "rgb", "round")]  # fmt: skip
    for filter_ in ("nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"):
        for (h, w), size, resize, colour, rounding in forms:
            grey = {"mean": (0.4,), "std": (0.3,)} if colour == "grey" else {}
            how = Preprocess(size, resize, interpolation=filter_, colour=colour, rounding=rounding, **grey)
            pixels = rng.integers(0, 256, (h, w, 3), np.uint8)
            known, geometry = how(Photo(Image.fromarray(pixels), "noise"))
            opaque = np.dstack([pixels, np.full((h, w), 255, np.uint8)])
            found = driver.execute_async_script(
                """const [data, width, height, how, done] = arguments;
                import("./prepare.js").then(({ prepare }) => prepare({ data, width, height }, how))
                    .then(({ input, region }) => done([Array.from(input), region]), (error) => done(String(error)));""",
                opaque.ravel().tolist(), w, h, asdict(how),
            )  # fmt: skip
            assert np.array_equal(np.asarray(found[0], np.float32).reshape(known.shape), known), (filter_, resize)
            assert found[1] == [list(edges) for edges in geometry.region]


# ---- what a visitor does ---------------------------------------------------------------------------------


def test_another_class_is_explained(driver, explainer):
    from selenium.webdriver.common.keys import Keys

    cat = embedded_photo("cat").path
    choose(driver, cat)
    best = assert_as_in_python(driver, explainer, cat)

    second = driver.find_elements("css selector", ".row input")[1]
    doing(driver, second.click)
    index = explainer(cat).predictions(top=2)[1].index
    assert_as_in_python(driver, explainer, cat, index)

    doing(driver, lambda: element(driver, "class").send_keys("ESPRESSO" + Keys.ENTER))  # not among the best five
    found = assert_as_in_python(driver, explainer, cat, ESPRESSO)
    assert not np.allclose(found["map"], best["map"])
    assert "espresso" in driver.find_element("css selector", ".row:has(:checked)").text

    assert element(driver, "best").is_enabled()
    doing(driver, element(driver, "best").click)
    assert shown(driver)["index"] == best["index"]

    for said, words in (("a unicorn", "999"), ("tiger c", "perhaps tiger cat"), ("1000", "999")):
        element(driver, "class").send_keys(said + Keys.ENTER)
        wait(driver, f"document.getElementById('problem').textContent.includes({said!r})")
        assert words in problem(driver)
        element(driver, "class").send_keys(Keys.BACKSPACE * len(said))
        assert problem(driver) == ""  # the field is empty

    element(driver, "class").send_keys("a unicorn" + Keys.ENTER)
    doing(driver, second.click)
    assert problem(driver) == "" and element(driver, "class").get_property("value") == ""
    doing(driver, driver.find_elements("css selector", ".row input")[0].click)  # the best, chosen
    assert not element(driver, "best").is_enabled()
    element(driver, "class").send_keys("a unicorn" + Keys.ENTER)
    choose(driver, embedded_photo("coffee").path)
    assert problem(driver) == "" and element(driver, "class").get_property("value") == ""


def test_classes_of_one_name_are_told_apart_by_their_numbers(driver, folder, lite0, tmp_path):
    from selenium.webdriver.common.keys import Keys

    labels = list(lite0.labels)
    labels[1] = labels[CAT] = "pet"
    other = other_page(folder, tmp_path, {"labels": labels})
    with served(other) as (address, _):
        start(driver, address)
        choose(driver, embedded_photo("cat").path)
        assert f"pet ({CAT})" in driver.find_element("id", "rows").text
        element(driver, "class").send_keys("Pet" + Keys.ENTER)
        wait(driver, "document.getElementById('problem').textContent !== ''")
        assert f"2 classes are called “Pet”: give the number, 1 or {CAT}" in problem(driver)
        element(driver, "class").clear()
        doing(driver, lambda: element(driver, "class").send_keys("pet (1)" + Keys.ENTER))
        assert shown(driver)["index"] == 1 and "'pet (1)'" in text(driver, "status")


def other_page(folder: Path, tmp_path: Path, change: dict) -> Path:
    """A copy of the page, with other settings."""
    other = Path(shutil.copytree(folder, tmp_path / "other"))
    settings = json.loads((other / "explained.json").read_text(encoding="utf-8"))
    (other / "explained.json").write_text(json.dumps({**settings, **change}), encoding="utf-8")
    return other


def test_a_map_without_evidence_is_told_as_in_python(driver, folder, tmp_path):
    """Two classes: of one the score has no gradient at the layer, against the other the layer speaks."""
    import torch

    class Deaf(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.features(x).mean((1, 2, 3))
            return torch.stack([0 * y + 1, -y], 1)

    torch.manual_seed(0)
    preprocess = Preprocess((32, 32), 32)
    net = seewhy.VisionModel(Deaf().eval(), preprocess, ["a", "b"], "deaf")
    written = seewhy.export(net, tmp_path / "deaf", to="page", layer="features", runtime=folder / "runtime")
    coffee = embedded_photo("coffee").path
    with served(written) as (address, _):
        start(driver, address)
        choose(driver, coffee)
        for index in range(2):
            if index:
                doing(driver, driver.find_elements("css selector", ".row input")[index].click)
            known = seewhy.explain(net, coffee, index, layer="features")
            assert known.blank.all() and known.flat[0, 0] == (index == 0)
            assert text(driver, "status").startswith(known.describe(predicted=False))
            assert not element(driver, "legend").is_displayed()


def test_the_keyboard_is_enough(driver):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    choose(driver, embedded_photo("cat").path)
    order = []
    driver.execute_script("document.activeElement.blur()")
    for _ in range(8):
        ActionChains(driver).send_keys(Keys.TAB).perform()
        order.append(driver.execute_script("return document.activeElement.id || document.activeElement.name"))
    assert order[:6] == ["file", "camera", "save", "row", "class", "opacity"]

    first = shown(driver)["index"]
    driver.find_element("css selector", ".row input:checked").send_keys("")
    doing(driver, lambda: ActionChains(driver).send_keys(Keys.ARROW_DOWN).perform())
    assert shown(driver)["index"] != first
    element(driver, "opacity").send_keys(Keys.HOME)
    assert driver.execute_script("return getComputedStyle(document.getElementById('heat')).opacity") == "0"


def test_what_is_no_photo_is_told_in_words(driver, explainer, tmp_path):
    broken, coffee = tmp_path / "broken.jpg", embedded_photo("coffee").path
    broken.write_bytes(embedded_photo("rocket").path.read_bytes()[:300])
    for wrong in (broken, tmp_path / "notes.txt"):
        if not wrong.exists():
            wrong.write_text("no photo")
        element(driver, "file").send_keys(str(wrong))
        wait(driver, f"document.getElementById('problem').textContent.includes({wrong.name!r})")
        assert "not a picture" in problem(driver)
    choose(driver, coffee)  # and goes on
    assert problem(driver) == "" and text(driver, "status")
    element(driver, "file").send_keys(str(broken))
    wait(driver, "document.getElementById('problem').textContent !== ''")
    assert text(driver, "status") == ""
    choose(driver, coffee)
    assert_as_in_python(driver, explainer, coffee)


def test_a_photo_can_be_dropped(driver):
    drop = """const given = new DataTransfer(), file = arguments[0];
        if (file) given.items.add(file);
        document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: given, bubbles: true, cancelable: true }));"""
    driver.execute_script(drop, None)
    assert "no file" in problem(driver)
    drawn = f"""const canvas = document.createElement("canvas");
        canvas.getContext("2d").fillRect(20, 30, 50, 60);
        canvas.toBlob((blob) => (function () {{ {drop} }})(new File([blob], "drawn.png")));"""
    doing(driver, lambda: driver.execute_script(drawn))
    assert problem(driver) == "" and driver.find_elements("css selector", ".row")


def test_the_camera_is_explained_live(driver):
    """Chromium has a camera for tests, whose picture moves."""
    doing(driver, element(driver, "camera").click)
    first = shown(driver)["input"]
    wait(driver, "seewhy.shown.live && !document.getElementById('turn').hidden")
    for _ in range(3):
        doing(driver, lambda: None)
    assert not np.array_equal(shown(driver)["input"], first)
    driver.find_elements("css selector", ".row input")[1].click()
    wait(driver, "seewhy.shown.found.index === seewhy.shown.chosen")
    chosen = shown(driver)["index"]
    for _ in range(3):
        doing(driver, lambda: None)
        assert shown(driver)["index"] == chosen  # whatever the camera sees

    element(driver, "camera").click()
    wait(driver, "!seewhy.shown.live")
    held = shown(driver)["input"]
    doing(driver, element(driver, "best").click)
    assert np.array_equal(shown(driver)["input"], held)
    assert "ms" in text(driver, "status")


# ---- how it is --------------------------------------------------------------------------------------------


def test_nothing_leaves_the_machine(folder, tmp_path):
    """Not even where a script of the page, or of the runtime, wanted to tell somebody."""
    coffee = embedded_photo("coffee").path
    with served(tmp_path) as (elsewhere, leaked), served(folder) as (address, _), browser.open_browser() as driver:
        start(driver, address)
        choose(driver, coffee)
        assert browser.requested_hosts(driver) == {"127.0.0.1"}
        assert leaked == [] and browser.complaints(driver) == []

        traitor = tmp_path / "traitor"
        shutil.copytree(folder, traitor)
        for script in ("page.js", "worker.js"):
            tell = f"\nglobalThis.told = fetch('{elsewhere}{script}').then(() => 'told', () => 'held');\n"
            (traitor / script).write_text((folder / script).read_text() + tell)
        beacon = f"\nnew Image().src = '{elsewhere}image'; navigator.sendBeacon('{elsewhere}beacon');\n"
        (traitor / "page.js").write_text((traitor / "page.js").read_text() + beacon)
        with served(traitor) as (address, asked):
            start(driver, address)
            assert driver.execute_async_script("globalThis.told.then(arguments[0])") == "held"
            choose(driver, coffee)
            assert "/worker.js" in asked and leaked == []
            refused = "\n".join(browser.complaints(driver))
            assert all(f"{elsewhere}{what}" in refused for what in ("page.js", "worker.js", "image", "beacon"))


def test_opened_as_a_file_it_says_how_to_serve_it(folder):
    with browser.open_browser() as driver:
        driver.get((folder / "index.html").as_uri())
        wait(driver, "getComputedStyle(document.getElementById('not-started')).visibility === 'visible'")
        assert "python -m http.server" in text(driver, "not-started")
        assert not driver.find_element("tag name", "main").is_displayed()


def test_what_is_missing_is_told_in_words(folder, tmp_path):
    for name, words in (("explained.onnx", "404"), ("explained.json", "explained.json")):
        lacking = tmp_path / name
        shutil.copytree(folder, lacking, ignore=shutil.ignore_patterns(name))
        with served(lacking) as (address, _), browser.open_browser() as driver:
            driver.get(address)
            wait(driver, "document.getElementById('problem')?.textContent")
            assert words in problem(driver)


@pytest.mark.parametrize("dark", [False, True])
def test_it_fits_a_phone_by_day_and_by_night(address, dark):
    with browser.open_browser(browser.PHONE, dark=dark) as driver:
        start(driver, address)
        choose(driver, embedded_photo("coffee").path)
        assert driver.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        small = [
            one.get_attribute("id") or one.text
            for one in driver.find_elements("css selector", "button, .button, .row, #class")
            if one.is_displayed() and one.size["height"] < 44
        ]
        assert small == []  # what a thumb hits
        tops = {element(driver, name).location["y"] for name in ("camera", "save")}
        assert len(tops) == 1  # none wraps alone
        ground = driver.execute_script("return getComputedStyle(document.body).backgroundColor")
        assert (max(map(int, ground.strip("rgb()").split(","))) < 60) == dark


# ---- how it is written ------------------------------------------------------------------------------------


def graph(path: Path) -> Written:
    path.write_bytes(b"a graph")
    return Written(path, ABOUT, 0.0)


def another(path: Path) -> Written:
    path.write_bytes(b"another")
    return Written(path, ABOUT, 0.0)


@pytest.fixture
def runtime(tmp_path) -> Path:
    (tmp_path / "kept" / "dist").mkdir(parents=True)
    for name in _runtime.FILES:
        (tmp_path / "kept" / "dist" / name).write_text(name)
    return tmp_path / "kept"


ABOUT = About(
    "1", "mine", "grad-cam", {}, "layer4", (512, 7, 7), score="logit", head=None, labels=("cat", "dög"),
    preprocess=Preprocess(),
)  # fmt: skip


def test_a_page_is_made_of_a_runtime_that_is_kept(runtime, tmp_path):
    made = write_page(tmp_path / "page", graph, runtime=runtime).path
    assert (made / "explained.onnx").read_bytes() == b"a graph"
    assert sorted(path.name for path in (made / "runtime").iterdir()) == sorted(_runtime.FILES)
    settings = json.loads((made / "explained.json").read_text(encoding="utf-8"))
    assert settings["labels"] == ["cat", "dög"] and settings["preprocess"]["size"] == [224, 224]
    assert len(settings["colours"]) == 256 and settings["bytes"] == 7

    write_page(made, another, runtime=runtime)  # a page takes the place of a page
    assert (made / "explained.onnx").read_bytes() == b"another"

    (made / "README.txt").write_text("how we show it")
    (made / "photos" / "best").mkdir(parents=True)
    (made / "photos" / "a.txt").write_text("mine")
    (made / "runtime" / "mine.mjs").write_text("mine")
    words = r"holds README\.txt, photos, runtime/mine\.mjs, which seewhy did not write: move them, or give the name"
    with pytest.raises(SaveError, match=words):
        write_page(made, graph, runtime=runtime)
    assert (made / "explained.onnx").read_bytes() == b"another"
    assert (made / "photos" / "a.txt").read_text() == "mine"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "page"]


def test_a_folder_of_something_else_is_left_alone(runtime, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    with pytest.raises(SaveError, match="holds other files"):
        write_page(tmp_path / "mine", graph, runtime=runtime)
    with pytest.raises(SaveError, match="is a file"):
        write_page(tmp_path / "mine" / "thesis.txt", graph, runtime=runtime)
    with pytest.raises(SaveError, match="no folder"):
        write_page(tmp_path / "no" / "page", graph, runtime=runtime)

    def meanwhile(path: Path) -> Written:
        (tmp_path / "page").mkdir()
        (tmp_path / "page" / "thesis.txt").write_text("three years")
        return graph(path)

    with pytest.raises(SaveError, match="holds other files"):
        write_page(tmp_path / "page", meanwhile, runtime=runtime)
    shutil.rmtree(tmp_path / "page")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "mine"]


def test_what_is_no_runtime_is_refused(runtime, tmp_path):
    (runtime / "dist" / _runtime.FILES[2]).unlink()
    with pytest.raises(InputError, match=f"holds no {_runtime.FILES[2]}.*{_runtime.VERSION}"):
        write_page(tmp_path / "page", graph, runtime=runtime)
    (tmp_path / "notes.txt").write_text("no package")
    (tmp_path / "half.tgz").write_bytes(gzip.compress(b"0" * 2000)[:20])
    for wrong, words in (
        (".", "expected the package onnxruntime-web"),
        ("notes.txt", "no package of npm"),
        ("half.tgz", "no package of npm"),
        ("nowhere", "does not exist"),
    ):
        with pytest.raises(InputError, match=rf"{words}[^\n]*$"):
            write_page(tmp_path / "page", graph, runtime=tmp_path / wrong)
    assert not (tmp_path / "page").exists() and not list(tmp_path.glob(".seewhy*"))


def test_without_npm_or_its_registry_it_says_what_to_do(tmp_path, monkeypatch):
    if shutil.which("npm") is not None:
        for name in ("npm_config_registry", "NPM_CONFIG_REGISTRY"):
            monkeypatch.setenv(name, "http://127.0.0.1:9/")
        monkeypatch.setenv("npm_config_fetch_retries", "0")
        monkeypatch.setenv("npm_config_cache", str(tmp_path / "cache"))
        with pytest.raises(MissingPackageError, match=r"registry.*--runtime PATH"):
            write_page(tmp_path / "page", graph)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPackageError, match=r"npm is not installed: install Node\.js.*--runtime PATH"):
        write_page(tmp_path / "page", graph)
    assert not (tmp_path / "page").exists()


def test_a_preprocess_of_python_code_has_no_page(tmp_path):
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    for preprocess, words in ((lambda image: np.asarray(image), "a function of Python"), (None, "none: pass")):
        with pytest.raises(InputError, match=words):
            seewhy.export(net, tmp_path / "page", to="page", preprocess=preprocess)
    assert not list(tmp_path.iterdir())


def test_on_the_command_line(runtime, tmp_path, monkeypatch):
    """The page with a runtime that is kept, and what to do with it."""
    from typer.testing import CliRunner

    from seewhy.cli import app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "paged.py").write_text(
        "import seewhy, torch\n"
        "def model():\n"
        "    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),\n"
        "                              torch.nn.Flatten(), torch.nn.Linear(4, 2))\n"
        "    return seewhy.VisionModel(net, seewhy.Preprocess((16, 16), 16), ['cat', 'dög'])\n",
        encoding="utf-8",
    )
    done = CliRunner().invoke(
        app,
        ["export", "--model", "python:paged:model", "--to", "page", "--method", "hires-cam", "--runtime", str(runtime)],
    )
    assert done.exit_code == 0, done.output
    settings = json.loads((tmp_path / "page" / "explained.json").read_text(encoding="utf-8"))
    assert settings["method"] == "hires-cam" and settings["labels"] == ["cat", "dög"]
    assert "python -m http.server --bind 127.0.0.1 --directory page 8000" in " ".join(done.output.split())
    with pytest.raises(ModelError, match=r"load the graph in it, file:page/explained\.onnx"):
        seewhy.load("file:page")
    assert seewhy.load("file:page/explained.onnx").labels == ["cat", "dög"]


def test_what_is_asked_has_to_fit(lite0, tmp_path):
    for options, words in (
        ({"to": "page", "classes": 2}, "classes= and upsample= are for ONNX"),
        ({"to": "onnx", "runtime": tmp_path}, "runtime= is where"),
        ({"to": "tflite"}, "'onnx', 'savedmodel', 'page'"),
        ({"to": "savedmodel"}, "Keras on tensorflow.*is of PyTorch"),
        ({"to": "page", "method": "score-cam"}, "further passes"),
    ):
        with pytest.raises(InputError, match=words):
            seewhy.export(lite0, tmp_path / "out", **options)
    assert not list(tmp_path.iterdir())
