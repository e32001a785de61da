"""The HTTP API in this process: answers equal the direct call, refusals are in words, limits hold."""

import io
import json
import logging
import threading
import time

import numpy as np
import pytest
import torch
from PIL import Image
from starlette.testclient import TestClient

import seewhy
from seewhy.photos import FILES, embedded_photo
from seewhy.serve._guards import JsonLines
from seewhy.serve._models import Models, load_models
from seewhy.serve.app import Limits, create_app
from serving import b64, form, jpeg

EXPLAIN, PREDICT, INFER = "/v1/models/lite0:explain", "/v1/models/lite0:predict", "/v2/models/lite0/infer"


@pytest.fixture(scope="module")
def models(lite0):
    return Models({"lite0": lite0})


@pytest.fixture(scope="module")
def client(models):
    with TestClient(create_app(models)) as client:
        yield client


@pytest.fixture(scope="module")
def photos():
    files = {}
    for name in FILES:
        file = io.BytesIO()
        embedded_photo(name).image.save(file, "PNG", compress_level=1)
        files[name] = file.getvalue()
    return files


@pytest.fixture(scope="module")
def explainer(lite0):
    return seewhy.Explainer(lite0)


def close(found, expected):
    expected = np.asarray(expected)
    assert np.shape(found) == expected.shape
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * max(1.0, float(abs(expected).max())))


# ---- answers ---------------------------------------------------------------------------------------------


def test_a_photo_in_json_is_explained_as_by_the_direct_call(client, explainer, photos):
    answer = client.post(EXPLAIN, json={"instances": [{"b64": b64(photos["coffee"])}]})
    assert answer.status_code == 200, answer.text
    direct = explainer(photos["coffee"])
    first = direct.predictions()[0]
    [[best, *_]], [explanation] = answer.json()["predictions"], answer.json()["explanations"]
    assert best == {
        "index": 967,
        "label": "espresso",
        "probability": pytest.approx(first.probability),
    }
    assert explanation["size"] == [400, 600] and explanation["layer"] == direct.layer
    assert explanation["description"] == direct.describe()
    [target] = explanation["targets"]
    close(target["map"], direct.maps[0, 0])
    assert target["score"] == pytest.approx(float(direct.scores[0, 0]), rel=1e-5)
    assert [tuple(box.values()) for box in target["boxes"]] == [tuple(box) for box in direct.boxes()]
    assert (target["label"], target["blank"], target["flat"]) == ("espresso", False, False)
    assert target["sentence"] == direct.describe(predicted=False)


def test_several_photos_each_with_its_targets(client, explainer, photos):
    instances = [
        {"b64": b64(photos["cat"]), "targets": ["tiger cat", 285]},
        {"b64": "data:image/png;base64," + b64(photos["coffee"])},
        b64(photos["rocket"]),
    ]
    asked = {"instances": instances, "parameters": {"targets": ["missile"], "method": "layer-cam"}}
    found = client.post(EXPLAIN, json=asked).json()
    by_layer_cam = seewhy.Explainer(
        seewhy.VisionModel(explainer.net, explainer.preprocess, explainer.labels), "layer-cam"
    )
    wanted = {"cat": ["tiger cat", 285], "coffee": ["missile"], "rocket": ["missile"]}
    for (name, targets), explanation in zip(wanted.items(), found["explanations"], strict=True):
        direct = by_layer_cam(photos[name], targets)
        assert explanation["method"] == "layer-cam"
        assert [t["label"] for t in explanation["targets"]] == direct.labels[0]
        for j, target in enumerate(explanation["targets"]):
            close(target["map"], direct.maps[0, j])


def test_a_form_with_files_and_the_best_classes(client, explainer, photos):
    body, headers = form(photos["cat"], photos["coffee"], top="3", threshold="0.5")
    found = client.post(EXPLAIN, content=body, headers=headers).json()
    for name, explanation in zip(("cat", "coffee"), found["explanations"], strict=True):
        direct = explainer(photos[name], seewhy.top(3))
        assert [t["index"] for t in explanation["targets"]] == [t.index for t in direct.targets[0]]
        for j, target in enumerate(explanation["targets"]):
            close(target["map"], direct.maps[0, j])
            assert [tuple(box.values()) for box in target["boxes"]] == [tuple(box) for box in direct.boxes(0.5, 0, j)]


def test_predictions_alone(client, explainer, photos):
    found = client.post(PREDICT, json={"instances": [b64(photos["cat"]), b64(photos["coffee"])]}).json()
    for name, row in zip(("cat", "coffee"), found["predictions"], strict=True):
        direct = explainer(photos[name]).predictions()
        assert [p["index"] for p in row] == [p.index for p in direct]
        close([p["probability"] for p in row], [p.probability for p in direct])


@pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
def test_the_answer_is_a_picture_where_one_is_accepted(client, explainer, photos, kind):
    body, headers = form(photos["coffee"], opacity="0.8", colormap="magma")
    answer = client.post(EXPLAIN, content=body, headers={**headers, "Accept": f"text/html, {kind};q=0.9, */*;q=0.1"})
    assert answer.headers["content-type"] == kind
    drawn = explainer(photos["coffee"]).overlay(opacity=0.8, colormap="magma")
    apart = abs(np.asarray(Image.open(io.BytesIO(answer.content)), int) - np.asarray(drawn, int))
    assert apart.max() == 0 if kind == "image/png" else apart.mean() < 4


def test_a_picture_of_several_targets_is_a_sheet(client, photos):
    body, headers = form(photos["coffee"], top="2")
    answer = client.post(EXPLAIN, content=body, headers={**headers, "Accept": "image/png"})
    width, height = Image.open(io.BytesIO(answer.content)).size
    assert width > 900 > height


def test_tensors_of_photos(client, explainer, photos):
    image = {"name": "image", "datatype": "BYTES", "shape": [2], "data": [b64(photos["cat"]), b64(photos["coffee"])]}
    classes = {"name": "class_index", "datatype": "INT64", "shape": [2, 2], "data": [[282, 285], [967, 968]]}
    found = client.post(INFER, json={"id": "7", "inputs": [image, classes]}).json()
    assert (found["model_name"], found["id"]) == ("lite0", "7")
    tensors = {one["name"]: one for one in found["outputs"]}
    direct = explainer([photos["cat"], photos["coffee"]], [[282, 285], [967, 968]])
    for name, kind, array in (("map", "FP32", direct.maps), ("score", "FP32", direct.scores)):
        assert (tensors[name]["datatype"], tensors[name]["shape"]) == (kind, list(array.shape))
        close(tensors[name]["data"], array.reshape(-1))
    assert tensors["class"] == {"name": "class", "datatype": "INT64", "shape": [2, 2], "data": [282, 285, 967, 968]}


@pytest.mark.parametrize("nested", [True, False])
def test_tensors_of_prepared_images(client, explainer, photos, nested):
    batch = explainer.prepare([photos["cat"]]).placed.numpy()
    data = batch.tolist() if nested else batch.ravel().tolist()
    asked = {
        "inputs": [{"name": "image", "datatype": "FP32", "shape": list(batch.shape), "data": data}],
        "outputs": [{"name": "map"}],
    }
    [tensor] = client.post(INFER, json=asked).json()["outputs"]
    close(tensor["data"], explainer(photos["cat"]).maps.reshape(-1))


def test_what_the_server_says_of_itself(client):
    assert client.get("/v1/models").json() == {"models": ["lite0"]}
    about = client.get("/v1/models/lite0").json()
    assert about["ready"] and about["classes"] == 1000 and "grad-cam" in about["methods"]
    assert client.get("/v2").json()["version"] == seewhy.__version__
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/lite0/ready").json() == {"name": "lite0", "ready": True}
    tensors = client.get("/v2/models/lite0").json()
    assert {"name": "image", "datatype": "FP32", "shape": [-1, 3, 224, 224]} in tensors["inputs"]
    assert [one["name"] for one in tensors["outputs"]] == ["map", "score", "class"]


def test_the_openapi_document_shows_both_kinds_of_bodies(client):
    document = client.get("/openapi.json").json()
    bodies = document["paths"]["/v1/models/{name}:explain"]["post"]["requestBody"]["content"]
    assert set(bodies) == {"application/json", "multipart/form-data"}
    refs = set()

    def collect(node):
        if isinstance(node, dict):
            refs.update(value.rpartition("/")[2] for key, value in node.items() if key == "$ref")
            node = node.values()
        if not isinstance(node, str | int | float | bool | None):
            for value in node:
                collect(value)

    collect(document)
    assert refs <= set(document["components"]["schemas"]) and "422" not in json.dumps(document)


# ---- refusals --------------------------------------------------------------------------------------------

PHOTO = b64(jpeg())
REFUSED = [
    (EXPLAIN.replace("lite0", "resnet"), {"instances": [PHOTO]}, 404, "unknown model 'resnet': this server has lite0"),
    (EXPLAIN, {"instances": []}, 400, "instances: List should have at least 1 item"),
    (EXPLAIN, {"instances": ["no/photo.jpg"]}, 400, "photo 1 of 1 is not base64"),
    (EXPLAIN, {"instances": [PHOTO, "http://example.com/a.jpg"]}, 400, "photo 2 of 2 is a URL: this server fetches"),
    (EXPLAIN, {"instances": ["/etc/hostname"]}, 400, "is not base64"),
    (EXPLAIN, {"instances": [b64(b"GIF89a")]}, 400, "photo 1 of 1 is not an image that Pillow can read"),
    (EXPLAIN, {"instances": [b64(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n")]}, 400, "is not an image"),
    (EXPLAIN, {"instances": [b64(jpeg()[:600])]}, 400, "photo 1 of 1 is truncated or damaged"),
    (EXPLAIN, {"instances": [""]}, 400, "photo 1 of 1 is empty"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"method": "grad-cma"}}, 400, "did you mean 'grad-cam'"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"method": "rise"}}, 400, "those that this server allows"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"targets": ["expresso"]}}, 400, "did you mean 'espresso'"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"targets": [1000]}}, 400, "class index 1000 is out of range"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"targets": [1], "top": 2}}, 400, "say two things"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"top": 11}}, 400, "at most 10 are explained"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"opacity": 2}}, 400, "parameters.opacity: Input should be less"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"colormap": "virides"}}, 400, "unknown colormap 'virides'"),
    (EXPLAIN, {"instances": [PHOTO], "parameters": {"layer": "x"}}, 400, "parameters.layer: Extra inputs"),
    (EXPLAIN, {"instances": [{"b64": PHOTO, "targets": [1.5]}]}, 400, "instances.0.targets.0: Input should be a valid"),
    (EXPLAIN, {"instances": [PHOTO] * 17}, 413, "17 photos in one request, and at most 16"),
    (INFER, {"inputs": [{"name": "x", "datatype": "BYTES", "shape": [1], "data": [PHOTO]}]}, 400, "got an input 'x'"),
    (INFER, {"inputs": [{"name": "image", "datatype": "INT64", "shape": [1], "data": [1]}]}, 400, "is BYTES or FP32"),
    (INFER, {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [2], "data": [PHOTO]}]}, 400, "expected 2 ph"),
    (INFER, {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [0], "data": []}]}, 400, "1 or more"),
    (INFER, {"inputs": [{"name": "image", "datatype": "BYTES", "shape": [10**30], "data": []}]}, 413, "at most 16"),
    (INFER, {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 8, 8], "data": []}]}, 400, "have the sh"),
    (INFER, {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [[1], 2]}]}, 400,
     "expected 150528 numbers for the shape [1, 3, 224, 224], got lists of several lengths"),
    (INFER, {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": ["1"]}]}, 400,
     "[1, 3, 224, 224], got text"),
    (INFER, {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [1, 2]}]}, 400,
     "[1, 3, 224, 224], got 2"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "asked", "status", "words"), REFUSED)
def test_what_does_not_fit_is_told_in_words(client, path, asked, status, words):
    answer = client.post(path, json=asked)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_numbers_that_the_model_cannot_take_are_the_clients_fault(client):
    image = {"name": "image", "datatype": "FP32", "shape": [1, 3, 224, 224], "data": [1e39] * 150528}
    answer = client.post(INFER, json={"inputs": [image]})
    assert answer.status_code == 400 and "NaN or infinite" in answer.json()["error"]


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (b"{", {"Content-Type": "application/json"}, 400, "Invalid JSON"),
        (b"x", {"Content-Type": "text/plain"}, 415, "expected application/json or multipart/form-data"),
        (b"x", {"Content-Type": "multipart/form-data"}, 400, "the form cannot be read"),
        (b"--A\r\n", {"Content-Type": "multipart/form-data; boundary=B"}, 400, "form"),
        (form(size="3")[0], form()[1], 400, "expected at least one photo"),
        (form(jpeg(), size="3")[0], form()[1], 400, "size: Extra inputs"),
        (form(jpeg(), top="many")[0], form()[1], 400, "top: Input should be a valid integer"),
        (form(jpeg()).__getitem__(0).replace(b'"image"', b'"photo"'), form()[1], 400, "in the field 'photo'"),
        (form(jpeg(), jpeg())[0], {**form()[1], "Accept": "image/png"}, 400, "a picture is drawn of one photo"),
        (form(jpeg())[0], {**form()[1], "Accept": "image/webp"}, 406, "application/json or image/png or image/jpeg"),
    ],
)
def test_bodies_and_headers_that_do_not_fit(client, body, headers, status, words):
    answer = client.post(EXPLAIN, content=body, headers=headers)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_paths_and_verbs_that_do_not_exist(client):
    assert client.get("/v3").status_code == 404 and "error" in client.get("/v3").json()
    assert client.get(EXPLAIN.replace(":explain", ":train")).status_code == 404
    assert client.get(EXPLAIN).status_code == 405 and client.get(EXPLAIN).headers["allow"] == "POST"
    assert client.delete("/v1/models").status_code == 405 and "error" in client.delete("/v1/models").json()
    assert client.post("/v1/models/..%2F..%2Fetc%2Fpasswd:explain", json={}).status_code == 404


def png(length: int) -> bytes:
    """A small photo in a file of this length, with the form round it."""
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (9, 99, 199)).save(file, "PNG")
    around = len(form(b"")[0])
    return file.getvalue().ljust(length - around, b"x")


# ---- limits ----------------------------------------------------------------------------------------------


def test_a_body_is_not_read_beyond_its_limit(models):
    read = 0

    def endless():
        nonlocal read
        for _ in range(1000):
            read += 10_000
            yield b"x" * 10_000

    with TestClient(create_app(models, Limits(body=50_000))) as client:
        for content in (endless(), b"x" * 60_000):
            answer = client.post(EXPLAIN, content=content, headers={"Content-Type": "application/json"})
            assert answer.status_code == 413 and "at most 50000 bytes" in answer.json()["error"]
        assert client.post(EXPLAIN, json={"instances": [PHOTO]}).status_code == 200


def test_the_bytes_of_all_requests_together_have_a_bound(gate):
    with gated(gate, body=1000, held=2500) as client:
        threads, found = together([lambda: ask(client, png(900))] * 2)
        until(lambda: client.app.state.service.places.held > 1500)
        answer = ask(client, png(900))
        assert answer.status_code == 503 and "holds as much as it may" in answer.json()["error"]
        gate.go.set()
        for thread in threads:
            thread.join(20)
        assert [one.status_code for one in found] == [200, 200]
        assert client.app.state.service.places.held == 0


def test_a_photo_of_too_many_pixels_is_not_decoded(models, monkeypatch):
    with TestClient(create_app(models, Limits(pixels=3000))) as client:
        assert client.post(EXPLAIN, json={"instances": [b64(jpeg(size=(60, 50)))]}).status_code == 200
        monkeypatch.setattr("seewhy.images._to_rgb", lambda *_: pytest.fail("it was decoded"))
        answer = client.post(EXPLAIN, json={"instances": [b64(jpeg(size=(61, 50)))]})
    assert answer.status_code == 413 and "61 × 50 pixels, and at most 3000" in answer.json()["error"]


def test_limits_that_make_no_sense_are_told():
    with pytest.raises(seewhy.SeewhyError, match="expected batch as a number of 1 or more, got 0"):
        Limits(batch=0)


class Gate(torch.nn.Module):
    """A model that waits until it is let go."""

    def __init__(self):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
        self.head = torch.nn.Linear(4, 3)
        self.go, self.busy = threading.Event(), threading.Event()
        self.go.set()
        self.sizes = []

    def forward(self, x):
        self.busy.set()
        assert self.go.wait(20)
        self.sizes.append(len(x))
        return self.head(self.body(x).mean((2, 3)))


@pytest.fixture
def gate():
    gate = Gate()
    yield gate
    gate.go.set()


def gated(gate, **limits):
    model = seewhy.VisionModel(gate, seewhy.Preprocess(size=(16, 16), resize=16), None, "gate")
    served = Models({"gate": model})
    gate.sizes.clear()
    gate.go.clear()
    gate.busy.clear()
    return TestClient(create_app(served, Limits(**{"delay": 0.0, "threads": 1, **limits})))


def ask(client, *photos, **fields):
    body, headers = form(*photos, **fields)
    return client.post("/v1/models/gate:explain", content=body, headers=headers)


def together(calls):
    """The answers of calls that run at the same time."""
    found = [None] * len(calls)
    threads = [threading.Thread(target=lambda i=i, c=c: found.__setitem__(i, c())) for i, c in enumerate(calls)]
    for thread in threads:
        thread.start()
    return threads, found


def until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def taken(client):
    return client.app.state.service.places.taken


def test_requests_that_wait_are_explained_in_one_batch_and_a_bad_photo_spoils_none(gate):
    with gated(gate) as client:
        first, answer = together([lambda: ask(client, jpeg(0))])
        until(gate.busy.is_set)
        threads, found = together([lambda i=i: ask(client, jpeg(i) if i != 3 else b"no photo") for i in range(1, 7)])
        until(lambda: len(client.app.state.service.batches._waiting) == 5 and found[2] is not None)
        assert taken(client) == 6  # the bad one is answered and gone
        gate.go.set()
        for thread in first + threads:
            thread.join(20)
    assert [one.status_code for one in answer + found] == [200, 200, 200, 400, 200, 200, 200]
    assert gate.sizes == [1, 5]
    explainer = seewhy.Explainer(gate, preprocess=seewhy.Preprocess(size=(16, 16), resize=16))
    for seed, one in zip((1, 2, 4, 5, 6), (o for o in found if o.status_code == 200), strict=True):
        close(one.json()["explanations"][0]["targets"][0]["map"], explainer(jpeg(seed)).maps[0, 0])


def test_several_batches_at_a_time_share_what_waits_and_the_cores(gate, monkeypatch):
    monkeypatch.setattr("seewhy.serve._service._cores", lambda pools: 2)
    with gated(gate, threads=2) as client:
        cores = []
        service = client.app.state.service
        service.batches._among = lambda at_work: cores.append(at_work) or service._share_cores(at_work)
        first, answer = together([lambda: ask(client, jpeg(0))])
        until(lambda: cores == [1])  # alone it has all the cores
        second, other = together([lambda: ask(client, jpeg(1))])
        until(lambda: cores == [1, 2])
        threads, found = together([lambda i=i: ask(client, jpeg(i)) for i in range(2, 6)])
        until(lambda: len(service.batches._waiting) == 4)
        gate.go.set()
        for thread in first + second + threads:
            thread.join(20)
    assert [one.status_code for one in answer + other + found] == [200] * 6
    explainer = seewhy.Explainer(gate, preprocess=seewhy.Preprocess(size=(16, 16), resize=16))
    for seed, one in enumerate(answer + other + found):
        close(one.json()["explanations"][0]["targets"][0]["map"], explainer(jpeg(seed)).maps[0, 0])


def test_a_full_queue_answers_503_and_says_when_to_come_again(gate):
    with gated(gate, queue=3) as client:
        threads, found = together([lambda: ask(client, jpeg()), lambda: ask(client, jpeg(), jpeg(1))])
        until(lambda: taken(client) == 3)
        for photos in ([jpeg()], [jpeg(), jpeg()]):
            answer = ask(client, *photos)
            assert answer.status_code == 503 and int(answer.headers["retry-after"]) >= 1
            assert "of 3 photos at most 3 are there already" in answer.json()["error"]
        assert client.get("/v2/health/ready").status_code == 200
        gate.go.set()
        for thread in threads:
            thread.join(20)
        assert [one.status_code for one in found] == [200, 200]
        assert ask(client, jpeg()).status_code == 200 and taken(client) == 0
        answer = ask(client, *[jpeg()] * 4)  # will never fit
        assert answer.status_code == 413 and "3 at most find room" in answer.json()["error"]


def test_a_request_that_takes_too_long_is_given_up_and_its_place_is_free(gate):
    with gated(gate, timeout=0.3) as client:
        answer = ask(client, jpeg())
        assert answer.status_code == 504 and "no answer within 0.3 s" in answer.json()["error"]
        assert taken(client) == 0
        gate.go.set()


def test_models_without_names_are_asked_by_index(gate):
    with gated(gate) as client:
        gate.go.set()
        assert ask(client, jpeg(), targets="2").json()["explanations"][0]["targets"][0]["index"] == 2
        assert "this model's classes are 0 to 2" in ask(client, jpeg(), targets="3").json()["error"]
        assert "no class names" in ask(client, jpeg(), targets="cat").json()["error"]
        assert "more classes than the model has (3)" in ask(client, jpeg(), top="4").json()["error"]


def test_what_breaks_in_the_server_is_500_in_words_and_in_the_log(gate, caplog):
    with gated(gate) as client:
        gate.go.set()
        gate.head = None
        client_ = TestClient(client.app, raise_server_exceptions=False)
        client_.portal = client.portal
        body, headers = form(jpeg())
        with caplog.at_level(logging.INFO, "seewhy.serve"):
            answer = client_.post("/v1/models/gate:explain", content=body, headers=headers)
    assert answer.status_code == 500 and "broke in the server" in answer.json()["error"]
    [record] = [one for one in caplog.records if one.message == "something broke"]
    assert "NoneType" in record.traceback and record.id == answer.headers["x-request-id"]


# ---- security, figures and logs --------------------------------------------------------------------------


def test_a_token_is_wanted_for_all_but_the_health_of_the_server(models):
    with TestClient(create_app(models, token="s3cret")) as client:
        for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic s3cret"}):
            for path in ("/v1/models", "/metrics", "/openapi.json", "/nothing"):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 401 and answer.headers["www-authenticate"] == "Bearer"
                assert "Authorization: Bearer TOKEN" in answer.json()["error"]
        assert client.get("/v1/models", headers={"Authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/v2/health/ready").status_code == client.get("/v2/health/live").status_code == 200


def test_figures_for_prometheus(models):
    with TestClient(create_app(models)) as client:
        client.post(EXPLAIN, json={"instances": [PHOTO, PHOTO]})
        client.post(EXPLAIN, json={"instances": ["!"]})
        client.get("/no/such/path")
        text = client.get("/metrics").text
    assert 'seewhy_requests_total{route="/v1/models/{name}:explain",status="200"} 1.0' in text
    assert 'seewhy_requests_total{route="/v1/models/{name}:explain",status="400"} 1.0' in text
    assert 'seewhy_requests_total{route="none",status="404"} 1.0' in text
    assert 'seewhy_photos_total{method="grad-cam",model="lite0"} 2.0' in text
    assert "seewhy_batch_photos_sum 2.0" in text and "seewhy_photos_waiting 0.0" in text


def test_the_log_is_json_without_photos_or_targets(models, caplog):
    with caplog.at_level(logging.INFO, "seewhy.serve"), TestClient(create_app(models)) as client:
        answer = client.post(EXPLAIN, json={"instances": [PHOTO], "parameters": {"targets": ["espresso"]}})
    lines = [JsonLines().format(record) for record in caplog.records if record.name == "seewhy.serve"]
    [line] = [json.loads(line) for line in lines]
    assert line["id"] == answer.headers["x-request-id"] and line["model"] == "lite0" and line["status"] == 200
    assert line["route"] == "/v1/models/{name}:explain" and line["seconds"] > 0
    assert PHOTO[:40] not in lines[0] and "espresso" not in lines[0]


# ---- the allow-list --------------------------------------------------------------------------------------


def test_models_are_served_under_names_of_their_own(gate):
    served = load_models(["lite0", "small=lite0"])
    assert list(served) == ["lite0", "small"] and served["small"].classes == 1000
    with pytest.raises(seewhy.SeewhyError, match="two models would be called 'lite0'"):
        load_models(["lite0", "lite0"])
    with pytest.raises(seewhy.SeewhyError, match="letters, digits"):
        Models({"a b": gate})
    with pytest.raises(seewhy.SeewhyError, match="does not say how a photo becomes its input"):
        Models({"bare": gate})
    with pytest.raises(seewhy.SeewhyError, match="expected at least one model"):
        Models({})


def test_methods_are_those_that_the_operator_allows(lite0):
    served = Models({"lite0": lite0}, ["grad-cam", "occlusion"])["lite0"]
    assert served.explainer("grad_cam") is served.explainer()
    assert served.explainer("occlusion").method.name == "occlusion"
    assert Models({"lite0": lite0}, ["layer-cam", "fem"])["lite0"].explainer().method.name == "layer-cam"
    assert Models({"lite0": lite0})["lite0"].explainer().method.name == "grad-cam"
    with pytest.raises(seewhy.SeewhyError, match="unknown method 'rise'"):
        served.explainer("rise")


def test_a_model_that_carries_its_explanation_says_so_of_other_methods(tmp_path):
    import torch

    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
                              torch.nn.Flatten(), torch.nn.Linear(4, 2))  # fmt: skip
    prepare = seewhy.Preprocess(size=(16, 16), resize=16)
    path = seewhy.export(net, tmp_path / "explained.onnx", preprocess=prepare)
    served = Models({"explained": seewhy.load(f"file:{path}")})["explained"]
    assert served.methods == ("grad-cam",)
    with pytest.raises(seewhy.SeewhyError, match="explained carries its own explanation, by grad-cam at the layer '1', "
                                                 "so it cannot be explained by 'layer-cam'"):  # fmt: skip
        served.explainer("layer_cam")


def test_a_web_page_is_mounted_on_the_same_app(models):
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    def page(app, given, limits):
        assert given is models and limits == Limits()
        app.mount("/", Starlette(routes=[Route("/", lambda request: PlainTextResponse("hello"))]))

    with TestClient(create_app(models, page=page)) as client:
        assert client.get("/").text == "hello" and client.get("/v1/models").json() == {"models": ["lite0"]}


def test_one_long_text_among_many_costs_no_more_than_it_is(client):
    data = ["x" * 1_000_000, *[""] * 9_999]  # as an array of text: 37 GiB
    tensor = {"name": "image", "datatype": "FP32", "shape": [1], "data": data}
    answer = client.post(INFER, json={"inputs": [tensor]})
    assert answer.status_code == 400, answer.text


def test_of_many_wrong_photos_one_is_named(client):
    answer = client.post(EXPLAIN, json={"instances": [1] * 50_000})
    assert answer.status_code == 400 and len(answer.text) < 1000
    assert "more" not in answer.json()["error"], answer.text
