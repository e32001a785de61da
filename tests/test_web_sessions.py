"""What lies behind the page, without a browser: visitors, models, choices, and what is drawn."""

import socket
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch
from torch import nn

import nets
import seewhy
from seewhy import catalog
from seewhy.errors import ModelError, PhotoError
from seewhy.photos import embedded_photo
from seewhy.serve.web import choices, drawing
from seewhy.serve.web.models import AnyModel, Loaded, ready
from seewhy.serve.web.sessions import Session, Sessions, Superseded, Wish
from seewhy.stream import run


class Small(nn.Module):
    """A model of two classes, of which nothing ever speaks for the second."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.act = nn.Conv2d(3, 4, 5, stride=4), nn.ReLU()
        self.passes = 0

    def forward(self, x):
        self.passes += 1
        seen = self.act(self.conv(x)).mean((2, 3))
        return torch.stack([seen.sum(1), -seen.sum(1)], dim=1)


@pytest.fixture
def small() -> Loaded:
    net = nets.seeded(Small(), dtype=torch.float32)
    preprocess = seewhy.Preprocess(size=(32, 32), resize=32)
    model = ready(seewhy.VisionModel(net, preprocess, ["<b>this</b>", "none"], "small"))
    net.passes = 0
    return model


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "cat.png"
    embedded_photo("cat").image.resize((90, 60)).save(path)
    return path


def wish(*classes: int, methods: tuple[str, ...] = ("grad-cam",), layer: str | None = None) -> Wish:
    return Wish(classes, methods, layer)


# ---- visitors --------------------------------------------------------------------------------------------


def test_one_pass_for_each_photo_of_a_visitor(small, photo, tmp_path):
    session = Session()
    [first] = session.ask(small, photo, wish())
    assert first.labels == [["<b>this</b>"]] and small.explainer.net.passes == 1
    [both] = session.ask(small, photo, wish(0, 1))
    two = session.ask(small, photo, wish(1, methods=("layer-cam", "grad-cam")))
    assert both.labels == [["<b>this</b>", "none"]] and [one.method for one in two] == ["layer-cam", "grad-cam"]
    assert session.ask(small, photo, wish(1, methods=("layer-cam", "grad-cam"))) is two  # to draw it in other colours
    assert small.explainer.net.passes == 1
    other = tmp_path / "coffee.png"
    embedded_photo("coffee").image.save(other)
    session.ask(small, other, wish())
    assert small.explainer.net.passes == 2


def test_a_file_that_is_no_photo_is_told_by_its_name_alone(small, photo, tmp_path):
    session, fake = Session(), tmp_path / "fake.png"
    session.ask(small, photo, wish())
    fake.write_text("no photo")
    with pytest.raises(PhotoError, match=r"^fake\.png is not an image"):
        session.ask(small, fake, wish())
    [again] = session.ask(small, photo, wish())
    assert again.views[0].photo.name == "cat.png" and again.views[0].photo.path is None


def test_a_photo_past_the_bounds_is_not_decoded(small, photo, tmp_path):
    from PIL import Image

    with Image.open(photo) as image:
        pixels = image.width * image.height
        image.convert("RGB").save(eps := tmp_path / "drawn.png", "EPS")
    with pytest.raises(PhotoError, match=r"^cat\.png is too large"):
        Session(pixels - 1).ask(small, photo, wish())
    assert Session(pixels).ask(small, photo, wish())
    with pytest.raises(PhotoError, match=r"^drawn\.png"):  # Pillow would run another program for it
        Session().ask(small, eps, wish())


def test_the_same_wish_does_not_end_a_long_run(small, photo, monkeypatch):
    started, runs = threading.Event(), []

    def slow(capture):
        runs.append(None)
        for _ in run(20, 1, lambda part: threading.Event().wait(0.02), "slowly"):
            started.set()
        return capture.activations[:, :1]

    monkeypatch.setattr(catalog, "get", lambda kind, name, get=catalog.get: slow if name == "slow" else get(kind, name))
    session, found = Session(), []
    thread = threading.Thread(target=lambda: found.append(session.ask(small, photo, wish(0, methods=("slow",)))))
    thread.start()
    assert started.wait(20)
    again = session.ask(small, photo, wish(0, methods=("slow",)))  # as a download does
    thread.join(20)
    assert found == [again] and len(runs) == 1


def test_a_new_wish_ends_a_long_run(small, photo, monkeypatch):
    started = threading.Event()

    def slow(capture):
        for done, _ in enumerate(run(1000, 1, lambda part: threading.Event().wait(0.01), "slowly")):
            if done:
                started.set()
        return capture.activations[:, :1]

    monkeypatch.setattr(catalog, "get", lambda kind, name, get=catalog.get: slow if name == "slow" else get(kind, name))
    session, told, raised = Session(), [], []

    def ask() -> None:
        with pytest.raises(Superseded) as error:
            session.ask(small, photo, wish(0, methods=("slow",)), lambda *said: told.append(said))
        raised.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    assert started.wait(20)
    [found] = session.ask(small, photo, wish(0))
    thread.join(20)
    assert len(raised) == 1 and found.method == "grad-cam" and 0 < len(told) < 1000
    assert told[0][0] == "slowly" and told[0][2] == 1000


def test_visitors_are_bounded_and_forgotten():
    sessions = Sessions(most=2)
    first, second = sessions.of("first"), sessions.of("second")
    assert sessions.of("first") is first
    sessions.of("third")  # the second asked longest ago
    assert len(sessions) == 2 and sessions.of("first") is first and sessions.of("second") is not second
    folder = sessions.of("first").folder()
    (folder / "map.npz").write_bytes(b"x")
    sessions.drop("first")
    del first
    assert len(sessions) == 1 and not folder.exists()
    sessions.drop("nobody")


# ---- models ----------------------------------------------------------------------------------------------


def test_models_are_loaded_once_and_the_oldest_makes_room(monkeypatch):
    loaded: list[str] = []

    def load(spec, device):
        loaded.append(spec)
        return seewhy.VisionModel(nets.seeded(nets.Plain()), seewhy.Preprocess(size=(16, 16), resize=16), None, spec)

    monkeypatch.setattr("seewhy.serve.web.models.load", load)
    shelf = AnyModel(["a", "b"], most=2)
    first = shelf.get("a")
    assert shelf.get(" a ") is first and shelf.get("b") is not first
    shelf.get("c")  # the page is open to any
    assert loaded == ["a", "b", "c"]
    shelf.get("a")
    assert loaded == ["a", "b", "c", "a"]
    assert first.default == "features" and [info.name for info in first.layers][:1] == ["features.0"]
    closed = AnyModel(["a"], is_open=False)
    with pytest.raises(ModelError, match="'file:/etc/passwd' is not offered here: choose one of a"):
        closed.get("file:/etc/passwd")


def test_a_model_whose_layers_only_a_photo_tells():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)

    def prepare(image):
        return np.asarray(image.resize((20, 20)), np.float32).transpose(2, 0, 1) / 255

    model = ready(seewhy.VisionModel(net, seewhy.preprocess.as_preprocess(prepare), None, "any"))
    assert model.layers == () and model.default is None
    [found] = Session().ask(model, embedded_photo("cat").path, wish())
    assert found.layer == "features"


def test_a_model_that_carries_its_explanation_takes_no_other_method_or_layer(tmp_path, coffee):
    pytest.importorskip("onnxscript", reason='to export needs: pip install -c constraints.txt -e ".[export]"')
    from gradio import Request

    from seewhy.serve.web.handlers import Handlers, about, layers_of, method_of

    preprocess = seewhy.Preprocess(size=(32, 32), resize=32)
    vision = seewhy.VisionModel(nets.seeded(Small(), dtype=torch.float32), preprocess, ["this", "none"], "small")
    path = seewhy.export(vision, tmp_path / "explained.onnx", method="layer-cam", layer="conv")
    spec = f"file:{path}"
    shelf = AnyModel([spec])
    loaded = shelf.get(spec)
    assert not layers_of(loaded)["interactive"] and method_of(loaded, "grad-cam") == "layer-cam"
    assert "carries its own explanation, by layer-cam at the layer conv, and takes no other" in about(
        "layer-cam", "", loaded
    )

    handle = Handlers(shelf, Sessions(), str)
    request = Request(session_hash="me")
    asked = ({"path": str(coffee)}, spec, [], "grad-cam", "rise", "", "viridis", request)  # of the model before
    result, bars, *_, layer, method, other, hint, _, before = handle.new_model(*asked[:-1], "lite0", request)
    assert "layer-cam at conv" in result and bars.count("<button") == 2 and "takes no other" in hint
    assert (method["value"], method["interactive"], other["value"], layer["interactive"]) == (
        "layer-cam",
        False,
        "",
        False,
    )
    assert before == spec
    result, *_ = handle.chosen(asked[0], spec, ["1"], "layer-cam", "", "conv", "magma", request)
    assert "none" in result and "sw-problem" not in result


# ---- choices and drawing ---------------------------------------------------------------------------------


def test_every_method_of_the_catalogue_can_be_chosen_and_says_what_it_costs():
    offered = choices.methods()
    assert {name for _, name in offered} == set(seewhy.methods())
    assert dict((name, said) for said, name in offered)["rise"].endswith("(slow, up to minutes)")
    assert all(choices.about(name) for _, name in offered) and "no layer" in choices.about("gradient")


def test_classes_of_one_name_can_be_told_apart():
    offered = choices.classes(["crane", "cat", "crane"], np.array([0.2, 0.5, 0.3], np.float32), first=1)
    assert offered == [("cat, 50%", "1"), ("crane (0)", "0"), ("crane (2)", "2")]
    assert choices.classes(None, np.array([0.2, 0.8], np.float32), first=1) == [("class 1, 80%", "1"), ("class 0", "0")]
    assert choices.classes(["a", "b"], np.array([1, 0.001], np.float32))[1] == ("b, below 0.5%", "1")


def test_layers_that_do_nothing_are_no_choice():
    net = nn.Sequential(nn.ZeroPad2d(1), nn.Conv2d(3, 2, 3), nn.Identity(), nn.Dropout2d(), nn.ReLU())
    net = nn.Sequential(net, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    preprocess = seewhy.Preprocess(size=(16, 16), resize=16)
    loaded = ready(seewhy.VisionModel(nets.seeded(net, dtype=torch.float32), preprocess, None, "padded"))
    assert {"0.0", "0.2", "0.3"} < {info.name for info in loaded.layers}
    assert [name for _, name in choices.layers(loaded) if name != loaded.default] == ["0.4", "0.1"]
    for kind in ("ZeroPadding2D", "SpatialDropout2D", "ReflectionPad2d", "DropPath"):
        assert choices.IDLE.fullmatch(kind)
    assert not choices.IDLE.fullmatch("Conv2dStaticSamePadding")


def test_what_a_bright_picture_does_not_tell_is_said(lite0, coffee):
    look = seewhy.Look(seewhy.Explainer(lite0), coffee)
    said = drawing.results([look.explain(["espresso", "limousine"])], "viridis")
    assert "Each picture has its own scale" in said and "saw only the middle of the photo" in said
    assert said.count("The model hardly sees it here") == 2  # of the limousine: to be read and to be heard
    assert "far stronger than the rest" not in said
    early = drawing.results([look.explain("espresso", layer="_conv_stem")], "viridis")
    assert "A few points are far stronger than the rest" in early
    control = drawing.results([look.explain("limousine", "random-cam")], "viridis")
    assert "A control, which knows nothing of" in control
    assert "hardly sees" not in control and "80% of the evidence" not in control


def test_a_blank_map_is_said_in_words_and_labels_are_no_html(small, photo):
    found = Session().ask(small, photo, wish(0, 1))
    html = drawing.results(found, "viridis")
    assert "<b>" not in html and "&lt;b&gt;this&lt;/b&gt;" in html
    assert html.count("sw-heat") == 1 and html.count('<span class="sw-empty">') == 1
    said = found[0].describe(j=1, predicted=False).replace("'", "&#x27;")
    assert "speaks for" in said and f'<span class="sw-empty">{said}</span>' in html
    bars = drawing.bars(found[0].predictions(0), [1])
    assert bars.count("<button") == 2 and bars.count('aria-pressed="true"') == 1 and "<b>" not in bars


def test_the_layers_of_the_page_add_up_to_the_overlay(lite0, coffee):
    """The heatmap as a picture of its own, laid on the photo as a browser does, is seewhy's own overlay."""
    import base64
    import io
    import re

    from PIL import Image

    explanation = seewhy.explain(lite0, coffee)
    html = drawing.results([explanation], "viridis")
    [heat] = re.findall(r'class="sw-heat" alt="" src="data:image/webp;base64,([^"]+)"', html)
    layer = np.asarray(Image.open(io.BytesIO(base64.b64decode(heat))), np.float32)
    photo = np.asarray(explanation.views[0].picture(), np.float32)
    weight = layer[..., 3:] / 255 * 0.6
    mixed = photo * (1 - weight) + layer[..., :3] * weight
    difference = abs(mixed - np.asarray(explanation.overlay(opacity=0.6), np.float32))
    assert difference.mean() < 1.5 and np.quantile(difference, 0.99) < 8  # WebP is not without loss


# ---- the page within other apps, and without Gradio ------------------------------------------------------


def test_neither_seewhy_nor_its_help_imports_gradio():
    code = (
        "import sys, seewhy, seewhy.serve.web, seewhy.cli; from typer.main import get_command; "
        "get_command(seewhy.cli.app).commands['web'].get_help; "
        "print([name for name in ('gradio', 'fastapi', 'uvicorn', 'torch') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_on_another_app_it_offers_what_that_serves_and_nothing_else(lite0, tmp_path):
    """In a process of its own: Gradio's warnings are not ours."""
    code = """
import seewhy
from fastapi import FastAPI
from fastapi.testclient import TestClient
from seewhy.serve._models import Models
from seewhy.serve.web import mount

app = mount(FastAPI(), Models({"ours": seewhy.load("lite0")}, ["grad-cam", "layer-cam"]))
with TestClient(app) as client:
    config = client.get("/web/config").json()
    props = {part["props"].get("elem_id"): part["props"] for part in config["components"]}
    print(client.get("/web/").status_code, props["method"]["choices"], props["model"]["choices"])
    print(props["model"]["allow_custom_value"], config["root"], client.get("/web").url)
    [image] = [part["id"] for part in config["components"] if part["props"].get("elem_id") == "photo"]
    [asked] = [one for one in config["dependencies"] if one["targets"] == [[image, "change"]]]
    values = ["lite0", [], "rise", "", "", "viridis"]
    secret = {"path": "SECRET", "meta": {"_type": "gradio.FileData"}}
    for photo in (None, secret):
        body = {"data": [photo, *values], "fn_index": asked["id"], "session_hash": "me", "trigger_id": None}
        print(client.post("/web/gradio_api/queue/join", json=body).status_code)
        with client.stream("GET", "/web/gradio_api/queue/data?session_hash=me") as stream:
            for line in stream.iter_lines():
                if "process_completed" in line:
                    print(line)
                    break
    body["data"][0] = {"path": "http://127.0.0.1:1/cat.png", "meta": {"_type": "gradio.FileData"}}
    print(client.post("/web/gradio_api/queue/join", json=body).json())
    print(client.post("/web/gradio_api/run/upload", json=body).json())
    body["data"][0] = "x" * 2**20
    print(client.post("/web/gradio_api/queue/join", json=body).status_code)
"""
    secret = tmp_path / "secret.png"
    embedded_photo("cat").image.save(secret)
    done = subprocess.run(
        [sys.executable, "-c", code.replace("SECRET", str(secret))], capture_output=True, text=True, timeout=120
    )
    lines = done.stdout.splitlines()
    assert lines[:2] == [
        "200 [['grad-cam (at once)', 'grad-cam'], ['layer-cam (at once)', 'layer-cam']] [['ours', 'ours']]",
        "False http://testserver/web http://testserver/web/",
    ], done.stderr
    assert '"success":true' in lines[3]
    assert '"success":false' in lines[5] and "secret.png" not in lines[5]
    refused = "{'detail': 'photos are uploaded: nothing is fetched from an address'}"
    assert lines[6:] == [refused, refused, "413"], done.stderr


def test_where_it_cannot_listen_it_says_so_before_anything_is_loaded():
    from seewhy.serve import web

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(
            seewhy.SeewhyError, match=rf"cannot listen at 127\.0\.0\.1, port {port}: Address already in"
        ):
            web.launch(AnyModel(["lite0"]), port=port)
    with pytest.raises(seewhy.SeewhyError, match=r"cannot listen at 192\.0\.2\.1: .*; choose another host or port"):
        web.launch(AnyModel(["lite0"]), host="192.0.2.1")
    with pytest.raises(seewhy.SeewhyError, match="port 70000"):
        web.launch(AnyModel(["lite0"]), port=70000)


def test_without_gradio_it_says_what_to_install(monkeypatch):
    from seewhy.serve import web

    monkeypatch.setattr(web, "find_spec", lambda name: None)
    with pytest.raises(seewhy.errors.MissingPackageError, match=r'pip install "seewhy\[web\]"'):
        web.create_page(AnyModel(["lite0"]))
