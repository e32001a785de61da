"""seewhy.check: whether an explanation is to be trusted, where the truth is known."""

import json
import sys
import threading
import warnings
from copy import deepcopy
from inspect import unwrap

import numpy as np
import pytest
import torch
from torch import nn

import planted
import seewhy
from seewhy import cli
from seewhy.evaluate import _findings
from seewhy.evaluate._alike import along_border, edges, moved, noisy, on_grid, shared, unmoved
from seewhy.render import figure
from seewhy.types import method

NAMES = ["randomisation", "noise", "shift", "agreement", "saturation", "blank", "border"]


@method(paper="", gradients=False, at_input=True)
def edge_detector(capture):
    """The edges of the photo, whatever the model."""
    found = []
    for image in capture.activations:
        grey = image.mean(0)
        rows, columns = torch.zeros_like(grey), torch.zeros_like(grey)
        rows[1:], columns[:, 1:] = grey.diff(dim=0).abs(), grey.diff(dim=1).abs()
        found.append(rows + columns)
    return torch.stack(found)[:, None]


def constant(capture):
    return capture.activations[:, :1] * 0 + 1


def blank(capture):
    return capture.activations[:, :1] * 0


def frame(capture):
    maps = torch.rand_like(capture.activations[:, :1]) * 0.01
    maps[..., [0, -1], :] = maps[..., :, [0, -1]] = 1
    return maps


def jitter(capture):
    """Another map for the least change of the image."""
    seed = int(1e6 * float(capture.activations.double().sum())) % 2**31
    return torch.rand(capture.activations[:, :1].shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(scope="module")
def photos():
    pictures, _, _ = planted.images(6, 5)
    return torch.from_numpy(pictures)


def test_grad_cam_on_the_planted_model_passes(photos):
    verdicts = []
    for photo in photos:
        found = seewhy.check(planted.net(), photo[None])
        assert [finding.name for finding in found] == NAMES and len(found) == 7
        verdicts.append(found.verdict)
        assert found["agreement"].value > 0.7
    assert verdicts == ["passed"] * len(photos)


def test_an_edge_detector_fails(photos):
    for photo in photos:
        found = seewhy.check(planted.net(), photo[None], method=edge_detector)
        assert found.verdict == "failed" and found["randomisation"].verdict == "failed"
        assert found["randomisation"].value == pytest.approx(1)  # nothing of the model is in it
        assert set(found["randomisation"].details.values()) == {found["randomisation"].value}
        assert "edge_detector shows the photo" in found["randomisation"].sentence
        assert found["noise"].verdict == found["shift"].verdict == "passed"  # which is why stability is not enough
        assert found["agreement"].verdict != "passed" and found["agreement"].value < 0.55


def test_what_shows_the_active_places_is_doubtful(photos):
    found = seewhy.check(planted.net(), photos[:1], method="eigen-cam")
    assert found["randomisation"].verdict != "passed" and "Eigen" not in found["randomisation"].sentence
    assert "takes no gradient" in found["saturation"].sentence


def test_a_map_that_jumps_fails_stability(photos):
    found = seewhy.check(planted.net(), photos[:1], method=jitter)
    assert found["noise"].verdict == found["shift"].verdict == "failed"
    assert abs(found["noise"].value) < 0.3 and found["agreement"].verdict != "passed"


def test_a_map_along_the_border_fails(photos):
    found = seewhy.check(planted.net(), photos[:1], method=frame)
    assert found["border"].verdict == "failed"
    assert found["border"].value == pytest.approx(found["border"].references["a mere frame"], rel=0.05)


@pytest.mark.parametrize("made, words", [(blank, "no position speaks"), (constant, "the same everywhere")])
def test_maps_that_show_nothing(photos, made, words):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = seewhy.check(planted.net(), photos[:1], method=made)
    assert found.verdict == found["blank"].verdict == "failed" and words in found["blank"].sentence
    assert found["blank"].value == (0 if made is blank else 1)
    assert [finding.name for finding in found] == NAMES
    assert all(found[name].value is None and found[name].verdict == "doubtful" for name in NAMES[:4])
    assert json.loads(json.dumps(found.to_dict()))["findings"][0]["value"] is None


def test_a_saturated_softmax_is_seen(photos):
    net = nn.Sequential(*planted.net(), nn.Softmax(dim=1))
    with torch.no_grad():
        sure = max(range(len(photos)), key=lambda i: float(net(photos[i : i + 1]).max()))
        photo = photos[sure : sure + 1]
        p = float(net(photo).max())
    assert p > 0.999
    logit, output = (seewhy.check(net, photo, score=score)["saturation"] for score in ("logit", "output"))
    assert logit.verdict == "passed" and "before it is explained" in logit.sentence
    assert output.verdict != "passed" and "score='logit'" in output.sentence and output.value < 0.05 < logit.value
    assert logit.details["probability"] == pytest.approx(p)


def test_the_slope_is_the_first_order_share_of_the_score(photos):
    net = planted.net()
    with torch.no_grad():
        A = net[:8](photos[:1])[0].double()
        scores = net(photos[:1])[0].double()
    best = int(scores.argmax())
    weights = net[10].weight[best].tolist()
    total = sum(
        abs(w * a) / A[0].numel() for w, channel in zip(weights, A, strict=True) for a in channel.flatten().tolist()
    )
    found = seewhy.check(net, photos[:1])["saturation"]
    assert found.value == pytest.approx(total / (total + abs(float(scores[best]))), rel=1e-4)


def test_the_same_again_and_the_model_as_it_was(photos):
    net = planted.net()
    before = {name: array.clone() for name, array in net.state_dict().items()}
    net.train()
    one, two = (seewhy.check(net, photos[:1], 1).to_dict() for _ in range(2))
    assert one == two and net.training
    net.eval()
    assert all(torch.equal(array, before[name]) for name, array in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())
    assert one["target"] == {"index": 1, "label": "class 1"} and one["method"] == "grad-cam"
    other = seewhy.check(net, photos[:1], 1, seed=9).to_dict()
    assert other["findings"][0]["value"] != one["findings"][0]["value"]


def test_targets_that_are_no_class(photos):
    def difference(outputs):
        return outputs[:, 0] - outputs[:, 1]

    found = seewhy.check(planted.net(), photos[:1], difference)
    assert found.explanation.labels == [["difference"]] and found["saturation"].details == {}
    assert abs(found["randomisation"].value) < 0.5


def test_methods_with_options_at_a_layer(photos):
    found = seewhy.check(planted.net(), photos[:1], method="random-cam", layer="4", seed=3)
    assert found.explanation.layer == "4" and found.explanation.maps.shape == (1, 1, 16, 16)
    smooth = seewhy.check(planted.net(), photos[:1], method="smooth-grad", samples=2)
    assert smooth.explanation.method == "smooth-grad"


def test_shuffled_models_without_finite_scores_do_not_count(photos):
    class Fragile(nn.Module):
        """Its scores are infinite where its weights are not in order."""

        def __init__(self):
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)
            self.order = nn.Parameter(torch.arange(5.0))

        def forward(self, x):
            broken = (self.order.diff() < 0).any() * float("inf")
            return self.head(self.conv(x).relu().mean((2, 3))) + (0 if broken.isnan() else broken)

    found = seewhy.check(Fragile(), photos[:1])
    assert found["randomisation"].value is None and "no finite scores" in found["randomisation"].sentence
    assert found["noise"].value > 0.9


def test_random_cam_is_not_praised(photos):
    found = seewhy.check(planted.net(), photos[:1], method="random-cam", seed=1)["randomisation"]
    assert found.verdict == "passed" and "depends on the model's weights" in found.sentence
    assert "learnt" not in found.sentence and "follows" not in found.sentence


def test_a_model_that_cannot_be_copied_is_checked_for_the_rest(photos):
    net = deepcopy(planted.net())
    net[0].lock = threading.Lock()
    found = seewhy.check(net, photos[:1])
    assert found["randomisation"].value is None and found["randomisation"].verdict == "doubtful"
    assert "cannot be copied" in found["randomisation"].sentence and found["randomisation"].sentence.endswith(".")
    assert found["noise"].verdict == found["shift"].verdict == "passed" and found["saturation"].value > 0


def test_without_gradients_methods_that_need_none_are_checked(photos):
    class Detached(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = planted.net()

        def forward(self, x):
            return self.net(x).detach()

    found = seewhy.check(Detached(), photos[:1], method="eigen-cam")
    assert found["agreement"].value is None and "No other method could be asked" in found["agreement"].sentence
    assert found["saturation"].value is None and found["saturation"].verdict == "passed"
    assert found["noise"].verdict == "passed" and found["randomisation"].value is not None
    assert all("shuffled" in caption for caption, _ in found.others) and found.figure().width > 100
    with pytest.raises(seewhy.SeewhyError, match="gradient"):
        seewhy.check(Detached(), photos[:1], method="grad-cam")


def test_numbers_that_are_not_there_do_not_fail(photos):
    @method(paper="", gradients=False, at_input=True)
    def first_row(capture):
        """Its only evidence is cut off where an image moves up, or out of the photo where it moves down."""
        maps = capture.activations[:, :1] * 0
        maps[..., 0, :] = 1
        return maps

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = seewhy.check(planted.net(), photos[:1], method=first_row)["shift"]
        # of the four shifts the one up has nothing to compare
        assert found.value is not None and not np.isnan(found.value)
        gone = _findings.stability("shift", [np.nan, np.nan], [0.5, np.nan], np.nan, None, None)
        assert (gone.value, gone.verdict) == (None, "doubtful") and gone.sentence.endswith(".")
        assert _findings.randomisation("m", {}, [0.1, np.nan], np.nan, 0, 0).value == 0.1


@pytest.mark.parametrize("seed", [-1, 0.5, True])
def test_a_bad_seed_is_named(photos, seed):
    with pytest.raises(seewhy.SeewhyError, match="seed= as a whole number of 0 or more"):
        unwrap(seewhy.check)(planted.net(), photos[:1], seed=seed)


@pytest.mark.parametrize(
    "images, target, options, words",
    [
        (2, None, {}, "one image .* is expected, got 2"),
        (1, [0, 1], {}, "one target is expected, got class 0, class 1"),
        (1, None, {"layer": ["2", "4"]}, "one layer is expected"),
        (1, None, {"layer": "all"}, "one layer is expected"),
        (1, None, {"method": "grad-cma"}, "did you mean 'grad-cam'"),
        (1, None, {"chanels": 3}, "no option 'chanels'"),
        (1, "rde", {"labels": planted.CLASSES}, "did you mean 'red'"),
    ],
)
def test_what_cannot_be_checked_is_named(photos, images, target, options, words):
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.check(planted.net(), photos[:images], target, **options)


def test_signals_are_not_checked():
    net = nn.Sequential(nn.Conv1d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(seewhy.SeewhyError, match=r"one image \(h, w\) is expected"):
        seewhy.check(net, torch.rand(1, 3, 20))


def test_words_and_pictures(photos, tmp_path):
    found = seewhy.check(planted.net(), photos[:1], labels=planted.CLASSES)
    lines = found.describe().splitlines()
    assert [line.split(":")[0] for line in lines] == NAMES and all(line.endswith(".") for line in lines)
    [[label]] = found.explanation.labels
    assert label in planted.CLASSES and repr(found).startswith(
        f"<Check of grad-cam for '{label}': randomisation passed"
    )
    picture = found.figure()
    assert picture.width > picture.height > 100
    assert found.save(tmp_path / "check.png").exists()
    with pytest.raises(seewhy.SeewhyError, match="did you mean 'noise'"):
        found["nose"]


def test_the_picture_says_what_its_numbers_are(photos, monkeypatch):
    drawn = {}
    whole = figure.panels
    monkeypatch.setattr(figure, "panels", lambda *given, **options: drawn.update(options) or whole(*given, **options))
    found = seewhy.check(planted.net(), photos[:1])
    said = found.figure()
    assert "target's probability" in drawn["title"] and "Spearman's rank correlation" in drawn["title"]
    agreed = {**found["agreement"].details}
    captions = dict(caption.split(": ") for caption, _ in found.others)
    assert agreed and all(captions[name] == _findings.number(value) for name, value in agreed.items())
    assert whole([said], [""], title="x").height > whole([said], [""]).height
    seewhy.check(planted.net(), photos[:1], method=blank).figure()
    assert "correlation" not in drawn["title"]  # a blank map is like no other, and has no numbers


def test_no_zero_has_a_sign():
    assert [_findings.number(value) for value in (-0.0, -0.004, 0.004, -0.006, 1)] == [
        "0.00", "0.00", "0.00", "-0.01", "1.00"
    ]  # fmt: skip
    assert str(_findings.randomisation("m", {}, [-0.001], -0.001, 0, 0)).startswith("randomisation: passed 0.00. ")


def test_random_cam_is_not_held_against_itself(photos):
    own, other = (seewhy.check(planted.net(), photos[:1], method=name) for name in ("random-cam", "grad-cam"))
    for name in ("randomisation", "agreement"):
        assert "random-cam" not in own[name].references and "random-cam" in other[name].references
    # no better than itself: that is still no agreement
    assert _findings.agreement("random-cam", {"grad-cam": 0.6}, [], 0.6, 0.1, 0.1).verdict == "doubtful"


# ---- the parts -------------------------------------------------------------------------------------------


def test_maps_on_one_grid():
    fine = np.arange(20.0).reshape(4, 5)
    np.testing.assert_allclose(on_grid(fine, (2, 2)), [[3, 5.5], [13, 15.5]])  # columns 0-1 and 2-4
    np.testing.assert_array_equal(on_grid(fine, (4, 9)), fine)
    coarse = np.asarray([[3, 5.5], [13, 15.5]])
    assert shared(fine, 7 * coarse) == shared(7 * coarse, fine) == pytest.approx(1)  # their scale does not matter


def test_agreement_is_evidence_in_the_same_places():
    draw = np.random.default_rng(0)
    one, other = np.zeros((2, 16, 16))
    one[2:4, 2:4], other[2:4, 2:5] = 1, 1
    assert shared(one, other) == pytest.approx(4 / 6)
    faint = [found + draw.uniform(0, 1e-3, found.shape) for found in (one, other)]  # their ranks are drawn by chance
    assert shared(*faint) == pytest.approx(4 / 6, abs=0.03)
    assert shared(one, -other) == shared(one * 0, other) == 0 == shared(one, one[::-1])
    assert shared(one, other - 2 * (other == 0)) == pytest.approx(4 / 6)  # rectified first
    for value, controls, verdict in (
        (0.5, (0.1, 0.2), "passed"), (0.35, (0.1, 0.2), "doubtful"), (0.05, (0.1, 0.2), "failed"),
        (0.82, (0.3, 0.8), "doubtful"), (0.9, (0.3, 0.8), "passed"), (0.0, (0.0, 0.0), "doubtful"),
    ):  # fmt: skip
        found = _findings.agreement("m", {"one": value, "other": value}, [], *controls, 0.3)
        assert found.verdict == verdict and ("in the middle" in found.sentence) == (max(controls) > 0.75)
        assert found.references["the image's centre"] == controls[1]


def test_a_map_that_moves_with_the_image_is_unmoved():
    before = np.random.default_rng(0).uniform(0, 1, (9, 8))
    for way in ((2, 0), (-2, 0), (0, 3), (0, -3)):
        assert unmoved(before, moved(before, *way), *way) == pytest.approx(1)
        assert unmoved(before, before, *way) < 0.5  # one that stays where it was does not follow


def test_noise_is_a_share_of_the_range():
    image = np.zeros((3, 40, 40), np.float32)
    image[0, 0, 0] = 5
    made = noisy(image, 0.02, 4, 0)
    assert made.shape == (4, 3, 40, 40) and made.dtype == np.float32
    assert (made - image).std() == pytest.approx(0.1, rel=0.03)
    assert not np.array_equal(made[0], made[1])


def test_edges_are_where_values_change():
    image = np.zeros((3, 6, 6), np.float32)
    image[:, 2:4, 2:4] = 1
    found = edges(image)
    assert found[2, 1] == 0.5 and found[0, 0] == 0 and found.shape == (6, 6)


def test_a_thing_in_a_corner_does_not_hug_the_border():
    corner, side, ring = np.zeros((3, 8, 8))
    corner[0, 0] = side[:, 0] = 1
    ring[[0, -1]] = ring[:, [0, -1]] = 1
    assert along_border(corner)[0] == 0 and along_border(np.ones((8, 8)))[0] == 1
    assert along_border(side)[0] == pytest.approx(1)  # its ends touch two more sides
    assert along_border(ring) == pytest.approx((64 / 28, 64 / 28))
    assert along_border(np.ones((3, 8))) is None and along_border(np.zeros((8, 8))) is None


# ---- the command line ------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    photo = np.rint(planted.images(1, 5)[0][0].transpose(1, 2, 0) * 255).astype(np.uint8)
    from PIL import Image

    Image.fromarray(photo).save("photo.png")
    prepare = seewhy.Preprocess((32, 32), None, mean=(0.0,) * 3, std=(1.0,) * 3)
    vision = seewhy.VisionModel(planted.net(), prepare, planted.CLASSES, "planted")
    loaded = []
    monkeypatch.setattr(seewhy, "load", lambda spec, **options: loaded.append(spec) or vision)

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["seewhy", "check", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
            sys.exit(0)
        return stopped.value.code or 0, *capfd.readouterr(), list(loaded)

    return call


def test_the_command_prints_a_table_and_sentences(run, tmp_path):
    code, out, err, _ = run("photo.png", "--out", "check.png")
    assert (code, err) == (0, "")
    assert all(name in out for name in NAMES) and "passed" in out and "held against" in out
    assert "an edge detector 1.00" in out and "it depends on the model's weights" in out
    assert (tmp_path / "check.png").exists()


def test_the_command_tells_in_json(run):
    code, out, err, _ = run("photo.png", "--target", "red", "--method", "layer-cam", "--layer", "4", "--json")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert list(record) == ["photo", "model", "method", "layer", "target", "verdict", "findings"]
    assert record["method"] == "layer-cam" and record["target"] == {"index": 0, "label": "red"}
    assert [finding["name"] for finding in record["findings"]] == NAMES
    assert set(record["findings"][0]) == {"name", "value", "verdict", "references", "details", "sentence"}


@pytest.mark.parametrize(
    "arguments, words, loads",
    [
        (["nowhere.png"], "nowhere.png", False),
        (["photo.png", "--method", "grad-cma"], "did you mean 'grad-cam'", False),
        (["photo.png", "--option", "chanels=3"], "no option 'chanels'", False),
        (["photo.png", "--out", "check.npz"], "one explanation", False),
        (["photo.png", "--target", "rde"], "did you mean 'red'", True),
        (["photo.png", "--layer", "layer9"], "unknown layer 'layer9'", True),
    ],
)
def test_bad_input_is_named_before_the_run(run, arguments, words, loads):
    code, out, err, loaded = run(*arguments)
    assert code == 1 and out == "" and words in err and bool(loaded) == loads
