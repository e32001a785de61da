"""Tables of methods by metrics: what is measured, left out, and kept, on a model whose reasons are known."""

import json
import sys
import time

import numpy as np
import pytest
import torch
from PIL import Image

import nets
import planted
import seewhy
from seewhy import catalog, stream
from seewhy.evaluate import _asked
from seewhy.evaluate._columns import column
from seewhy.evaluate._drawing import shades
from seewhy.evaluate._estimate import cost, work_of
from seewhy.evaluate._shown import Shown
from seewhy.evaluate._tiles import cells, groups, tile
from seewhy.images import open_header, open_photo
from seewhy.measure import Case, mean_of, metric

QUICK = ["average-drop", "sparseness", "class-sensitivity"]


@pytest.fixture(scope="module")
def vision():
    preprocess = seewhy.Preprocess(size=(32, 32), resize=None, mean=(0, 0, 0), std=(1, 1, 1))
    return seewhy.VisionModel(planted.net(), preprocess, planted.CLASSES, "planted")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six photos whose class a mark gives away, and the mark of each as a mask."""
    folder = tmp_path_factory.mktemp("photos")
    (folder / "masks").mkdir()
    pictures, _, boxes = planted.images(6, seed=5)
    for i, (picture, (left, top, right, bottom)) in enumerate(zip(pictures, boxes, strict=True)):
        Image.fromarray(np.rint(picture.transpose(1, 2, 0) * 255).astype(np.uint8)).save(folder / f"{i}.png")
        mask = np.zeros((32, 32), np.uint8)
        mask[top:bottom, left:right] = 255
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    return folder


@pytest.fixture(scope="module")
def photos(folder):
    return sorted(folder.glob("*.png"))


def test_the_mark_wins_where_the_truth_is_known(vision, photos, folder):
    metrics = ["pointing-game", "energy-pointing-game", "box-iou", "max-box-acc", "pxap", "insertion", "deletion"]
    steps = [(name, {"step": 32}) if name in ("insertion", "deletion") else name for name in metrics]
    steps[0] = ("pointing-game", {"tolerance": 2})
    table = seewhy.evaluate(
        vision, photos, methods=["grad-cam", "hires-cam"], metrics=steps, boxes=folder / "masks", layer="4"
    )
    assert not table.errors and not table.left_out and table.counted() == 6
    values = dict(zip(table.methods, table.values(), strict=True))
    assert values["grad-cam"][0] == 1  # each map points at its mark
    for good in ("grad-cam", "hires-cam"):
        for control in table.controls:
            better = values[good][:6] > values[control][:6]
            assert better.all(), (good, control, table.metrics, values)
            assert values[good][6] < values[control][6]


def test_every_metric_gives_a_number_or_says_why_not(vision, photos, folder):
    few = {"sensitivity-n": {"subsets": 4}, "infidelity": {"samples": 4}, "faithfulness-correlation": {"subsets": 6}}
    few |= {"insertion": {"step": 128}, "deletion": {"step": 128}}
    names = [name for name in seewhy.metrics() if name not in {*few, "grid-pointing-game"}]  # there are three classes
    table = seewhy.evaluate(
        vision, photos, methods=["grad-cam"], metrics=[*names, *few.items()], boxes=folder / "masks", layer="4"
    )
    assert not table.errors and not table.left_out
    values = dict(zip(table.metrics, table.values()[0], strict=True))
    assert all(np.isfinite(value) for value in values.values()), values
    assert values["parameter-randomisation"] < 0.9 and values["seconds"] > 0


def test_grids_need_no_annotation():
    net = nets.seeded(nets.GapLinear(), dtype=torch.float32)
    batch = torch.randn(40, 3, 16, 16)
    asked = [i % 4 for i in range(40)]
    metrics = ["grid-pointing-game", "sparseness"]
    table = seewhy.evaluate(net, batch, asked, methods=["grad-cam"], metrics=metrics, layer="act")
    grids = [name for name in table.measured if name.startswith("grid of ")]
    assert grids and table.counted() == 40
    assert all(len(table.measured[name]) == 4 for name in grids)
    assert 0.2 < table["image-centre", "grid-pointing-game"] < 0.3  # it knows nothing: a quarter


def test_a_grid_is_four_inputs_at_half_their_size():
    images = [np.full((3, 7, 6), value, np.float32) for value in range(4)]
    tiled = tile(images)
    assert tiled.shape == (3, 7, 6)
    for value, truth in enumerate(cells(7, 6)):
        [(left, top, right, bottom)] = truth.boxes
        np.testing.assert_allclose(tiled[:, top:bottom, left:right], value)
    assert list(groups([1, 1, 1, 2])) == []


def test_what_cannot_be_measured_is_named_before_the_run(vision, photos):
    for options, words in (
        ({"metrics": ["pointing-game"]}, "'pointing-game' needs annotations"),
        ({"metrics": ["grid-pointing-game"]}, "needs four photos of four different classes"),
        ({"metrics": ["average-drop"], "target": lambda outputs: outputs[:, 0]}, "needs a class as the target"),
        ({"metrics": ["insertoin"]}, "did you mean 'insertion'"),
        ({"metrics": [("insertion", {"stride": 3})]}, "'insertion' has no option 'stride': it has step, kernel, sigma"),
        ({"metrics": []}, "expected metrics as a list"),
        ({"metrics": ["box-iou", "Pointing_Game"]}, "'box-iou' and the metric 'pointing-game' each needs annotations"),
        ({"metrics": ["sparseness", "sparseness"]}, "given twice"),
        ({"methods": ["grad-cma"]}, "did you mean 'grad-cam'"),
        ({"target": "purple"}, "unknown class 'purple'"),
        ({"layer": ["1", "4"]}, "at one layer"),
        ({"boxes": "nowhere.json"}, "nowhere.json"),
    ):
        with pytest.raises(seewhy.SeewhyError, match=words):
            seewhy.evaluate(vision, photos[:2], **options)
    with pytest.raises(seewhy.SeewhyError, match="empty"):
        seewhy.evaluate(vision, [])
    with pytest.raises(seewhy.SeewhyError, match="given twice"):
        seewhy.evaluate(vision, [photos[0], photos[0]])


def test_a_bad_photo_or_method_costs_no_other(vision, photos, tmp_path):
    (tmp_path / "bad.png").write_text("no photo")
    asked = [photos[0], tmp_path / "bad.png", photos[1]]
    table = seewhy.evaluate(vision, asked, methods=["grad-cam", "guided-backprop", "cam"], metrics=QUICK, layer="4")
    assert table.counted() == 2
    assert "not an image" in table.errors[str(tmp_path / "bad.png")]
    assert "CAM needs" in table.errors[f"cam: {photos[0]}"] and np.isnan(table["cam", "sparseness"])
    assert np.isfinite(table["grad-cam", "sparseness"])


def test_shards_add_up_and_files_give_the_table_back(vision, photos, tmp_path):
    options = {"methods": ["grad-cam"], "metrics": QUICK, "layer": "4"}
    whole = seewhy.evaluate(vision, photos, **options)
    parts = [seewhy.evaluate(vision, part, **options) for part in (photos[:2], photos[2:])]
    np.testing.assert_allclose(parts[0].merge(parts[1]).values(), whole.values())
    with pytest.raises(seewhy.SeewhyError, match="would count twice"):
        whole.merge(parts[0])
    again = seewhy.open_table(whole.save(tmp_path / "table.json"))
    np.testing.assert_array_equal(again.values(), whole.values())
    assert again.methods == ("grad-cam", "random-cam", "image-centre") and again.metrics == whole.metrics
    frame = whole.to_pandas()
    assert list(frame.columns) == QUICK and frame.loc["grad-cam", "sparseness"] == whole["grad-cam", "sparseness"]
    rows = (whole.save(tmp_path / "table.csv")).read_text().splitlines()
    assert rows[0] == "method," + ",".join(QUICK) and len(rows) == 4
    with Image.open(whole.save(tmp_path / "table.png")) as picture:
        assert picture.width > 300
    (tmp_path / "table.json").write_text('{"format": "other"}')
    with pytest.raises(seewhy.SeewhyError, match="another version"):
        seewhy.open_table(tmp_path / "table.json")
    with pytest.raises(seewhy.SeewhyError, match="did you mean 'sparseness'"):
        whole["grad-cam", "sparsness"]


def test_an_interrupted_run_goes_on(vision, photos, tmp_path):
    seen = []

    @metric(paper="", better="neither")
    def interrupting():
        def value(case: Case) -> float:
            seen.append(case.seed)
            if len(seen) == 8:
                raise KeyboardInterrupt
            return case.score

        return mean_of(value)

    options = {"methods": ["grad-cam"], "metrics": [interrupting], "layer": "4", "state": tmp_path / "run.json"}
    with pytest.raises(KeyboardInterrupt):
        seewhy.evaluate(vision, photos, **options)
    kept = json.loads((tmp_path / "run.json").read_text())
    assert len(kept["measured"]) == 2  # three maps for each photo: the third photo was not finished
    before = len(seen)
    table = seewhy.evaluate(vision, photos, **options)
    assert table.counted() == 6 and len(seen) - before == 4 * 3
    with pytest.raises(seewhy.SeewhyError, match="a run of other metrics"):
        seewhy.evaluate(vision, photos, **{**options, "metrics": QUICK})


def test_the_model_is_left_as_it_was(vision, photos):
    before = {name: value.clone() for name, value in vision.net.state_dict().items()}
    seewhy.evaluate(vision, photos[:1], methods=["grad-cam"], metrics=["parameter-randomisation"], layer="4")
    assert all(torch.equal(value, before[name]) for name, value in vision.net.state_dict().items())
    assert not any(module._forward_hooks for module in vision.net.modules())


def test_an_estimate_is_told_before_the_work(vision, photos):
    told = []
    seewhy.evaluate(
        vision, photos[:1], methods=["grad-cam"], metrics=[("deletion", {"step": 512})], layer="4",
        told=lambda what, seconds: told.append((what, seconds)),
    )  # fmt: skip
    [(what, seconds)] = told
    assert what == "1 photo, 3 methods, 1 metric" and 0 < seconds < 60


def test_shades_go_from_the_worst_to_the_best_and_say_nothing_of_what_is_equal():
    values = np.asarray([[1.0, 5.0, 2.0, np.nan], [3.0, 1.0, 2.0, 1.0]])
    found = shades(values, ["higher", "lower", "higher", "neither"])
    assert found[:, :2].tolist() == [[0, 0], [1, 1]] and np.isnan(found[:, 2:]).all()


def test_every_metric_says_what_it_is():
    for name in seewhy.metrics():
        make = catalog.get("metrics", name)
        info = catalog.get("metrics", name).__dict__["metric_info"]
        assert info.better in ("higher", "lower", "nearest 0", "neither") and ">>>" in make.__doc__, name
        assert isinstance(make(), seewhy.measure.Metric)


# ---- after review ----------------------------------------------------------------------------------------


class Own(torch.nn.Module):
    """Pixels to class scores by a function of one's own of two numbers: light on the left, light on the right."""

    def __init__(self, ending=None, outputs=2):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.ending = torch.nn.Conv2d(1, outputs, 3, padding=1), ending

    def forward(self, x):
        scores = torch.relu(self.conv(x)).mean((2, 3)) * 9 - 1
        return scores if self.ending is None else self.ending(scores)


def asking(seen):
    """A metric that keeps the cases it is shown."""

    @metric(paper="", better="neither")
    def keeping():
        def value(case: Case) -> float:
            seen.append(case)
            return case.score

        return mean_of(value)

    return keeping


BATCH = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("score", ["logit", "output"])
@pytest.mark.parametrize(
    ("ending", "outputs"),
    [
        (None, 2), (lambda s: torch.log_softmax(s, 1), 2), (lambda s: torch.softmax(s, 1), 2), (torch.sigmoid, 2),
        (torch.sigmoid, 1), (None, 1),
    ],
)  # fmt: skip
def test_the_clean_photo_is_asked_as_the_changed_ones(ending, outputs, score):
    seen, net = [], Own(ending, outputs).eval()
    options = {"methods": ["grad-cam"], "metrics": [asking(seen)], "layer": "conv", "score": score}
    table = seewhy.evaluate(net, BATCH, 0, **options)
    assert not table.errors and len(seen) == 6
    with torch.no_grad():
        raw = net(BATCH)
    expected = {2: torch.softmax(raw, 1)[:, 0], 1: raw[:, 0]}[outputs]  # one score that comes out of nothing: itself
    if ending is torch.sigmoid or (ending is not None and torch.allclose(raw.sum(1), torch.ones(2))):
        expected = raw[:, 0]
    for case, wanted in zip(seen, expected.repeat_interleave(3), strict=True):
        changed = case.model(np.stack([case.image, case.image * 0.5]))
        assert case.probability == pytest.approx(float(wanted), abs=1e-5)
        assert changed[0] == pytest.approx(case.probability, abs=1e-6)
        assert case.model(case.image[None], "score")[0] == pytest.approx(case.score, abs=1e-6)
    if outputs == 1 and ending is None:
        with pytest.raises(seewhy.SeewhyError, match="needs a probability"):
            seewhy.evaluate(net, BATCH, 0, methods=["grad-cam"], metrics=["average-drop"], layer="conv")


def test_a_control_that_looks_at_no_class_is_found_out(vision, photos):
    table = seewhy.evaluate(vision, photos[:2], methods=["grad-cam"], metrics=["class-sensitivity"], layer="4")
    assert table["random-cam", "class-sensitivity"] == pytest.approx(1)
    assert table["grad-cam", "class-sensitivity"] < 0.9


def test_a_state_of_another_question_is_refused(vision, photos, tmp_path):
    options = {"methods": ["grad-cam"], "metrics": ["sparseness"], "layer": "4"}
    kept = {**options, "state": tmp_path / "run.json"}
    both = seewhy.evaluate(vision, photos[:2], 0, **kept)
    assert both.counted() == 2
    one = seewhy.evaluate(vision, photos[:1], 0, **kept)  # the state holds more than is asked now
    assert list(one.measured) == [str(photos[0])] and seewhy.open_table(kept["state"]).counted() == 2
    for other, words in (
        ({"target": 1}, "other target "), ({"target": None}, "other target "), ({"target": [0, 1]}, "other target "),
        ({"layer": "7"}, "other layer"), ({"seed": 1}, "other seed"), ({"score": "output"}, "other score"),
        ({"augment": "flips"}, "other augment"), ({"labels": ["a", "b", "c"]}, "other labels"),
        ({"methods": [("grad-cam", {}), ("random-cam", {"seed": 3})]}, "other methods"),
        ({"methods": ["grad-cam", "layer-cam"]}, "other methods"),
    ):  # fmt: skip
        with pytest.raises(seewhy.SeewhyError, match=words):
            seewhy.evaluate(vision, photos[:2], **{"target": 0, **kept, **other})
    with pytest.raises(seewhy.SeewhyError, match="tables of different seed"):
        both.merge(seewhy.evaluate(vision, photos[2:3], 0, seed=1, **options))
    each = {**options, "state": tmp_path / "each.json"}
    seewhy.evaluate(vision, photos[:2], [0, 1], **each)
    with pytest.raises(seewhy.SeewhyError, match="other targets .*" + photos[1].name):
        seewhy.evaluate(vision, photos[:2], [0, 2], **each)


def test_one_method_with_several_options_is_several(vision, photos):
    methods = ["grad-cam", ("random-cam", {"seed": 1}), ("random-cam", {"seed": 2})]
    table = seewhy.evaluate(vision, photos[:1], methods=methods, metrics=["sparseness"], layer="4")
    assert table.methods == ("grad-cam", "random-cam (seed=1)", "random-cam (seed=2)", "image-centre")
    assert table.controls == table.methods[1:]
    assert len(set(table.values()[:3, 0])) == 3
    with pytest.raises(seewhy.SeewhyError, match="a method is given twice"):
        seewhy.evaluate(vision, photos[:1], methods=["grad-cam", "grad-cam"], layer="4")


def test_options_of_metrics_survive_the_file(vision, photos, tmp_path):
    @metric(paper="", better="neither")
    def level(*, at=(0,), by=1):
        return mean_of(lambda case: float(sum(at)) * by)

    asked = [(level, {"at": (10, 50), "by": np.int64(3)})]
    table = seewhy.evaluate(vision, photos[:1], methods=["grad-cam"], metrics=asked, layer="4")
    assert table.metrics == ("level (at=[10, 50], by=3)",)
    again = seewhy.open_table(table.save(tmp_path / "table.json"), metrics=[level])
    assert again.metrics == table.metrics and again["grad-cam", again.metrics[0]] == 180
    with pytest.raises(seewhy.SeewhyError, match="the options of 'level' are kept with the table"):
        seewhy.evaluate(vision, photos[:1], metrics=[(level, {"at": object()})])


def test_shards_draw_what_one_run_draws(vision, photos):
    draws = [("faithfulness-correlation", {"subsets": 6}), ("max-sensitivity", {"samples": 2})]
    options = {"methods": ["grad-cam"], "metrics": draws, "layer": "4", "seed": 3}
    whole = seewhy.evaluate(vision, photos[:3], **options)
    parts = [seewhy.evaluate(vision, part, **options) for part in (photos[1:3], photos[:1])]
    assert parts[0].merge(parts[1]).measured == whole.measured
    assert seewhy.evaluate(vision, photos[:3], **{**options, "seed": 4}).measured != whole.measured


def test_two_classes_of_one_name_are_two(photos, folder, tmp_path):
    preprocess = seewhy.Preprocess(size=(32, 32), resize=None, mean=(0, 0, 0), std=(1, 1, 1))
    alike = seewhy.VisionModel(planted.net(), preprocess, ["crane", "crane", "blue"], "planted")
    content = {
        "images": [{"id": 1, "file_name": photos[0].name, "width": 32, "height": 32}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [1, 1, 6, 6]}],
        "categories": [{"id": 1, "name": "bird"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    table = seewhy.evaluate(
        alike, photos[:1], methods=["grad-cam"], metrics=["sparseness"], layer="4", boxes=tmp_path / "boxes.json",
        classes={"bird": [0, 1]},
    )  # fmt: skip
    assert sorted(table.measured[str(photos[0])]) == ["crane (0)", "crane (1)"]


def test_what_is_no_question_for_a_table_is_refused(vision, photos, tmp_path):
    for options, words in (
        ({"signed": True}, "signed"),
        ({"methods": ["score-cam"], "channels": 1}, "options go with their method"),
        ({"seed": -1}, "seed="),
        ({"memory": 0}, "memory="),
        ({"state": tmp_path / "run.txt"}, "ends in .json"),
        ({"state": tmp_path / "nowhere" / "run.json"}, "folder is not there"),
        ({"target": ["red", "purple"]}, "unknown class 'purple'"),
        ({"target": seewhy.top(2)}, "one target is measured for each photo"),
    ):
        with pytest.raises(seewhy.SeewhyError, match=words):
            seewhy.evaluate(vision, photos[:2], **options)


def test_a_metric_that_fails_costs_no_other(vision, photos):
    def failing():
        def value(case: Case) -> float:
            raise seewhy.SeewhyError("no such number")

        return mean_of(value)

    options = {"methods": ["grad-cam"], "layer": "4"}
    table = seewhy.evaluate(vision, photos[:2], metrics=[failing, "sparseness"], **options)
    assert table.errors[f"failing of grad-cam: {photos[1]}"] == "no such number"
    assert table.counted() == 2 and table["grad-cam", "sparseness"] > 0 and np.isnan(table["grad-cam", "failing"])
    table = seewhy.evaluate(vision, photos[:2], metrics=[failing], **options)
    assert table.counted() == 0


def test_photos_without_a_box_of_the_class_are_named(vision, photos, tmp_path):
    def boxes(names):
        return {
            "images": [{"id": i, "file_name": name, "width": 32, "height": 32} for i, name in enumerate(names)],
            "annotations": [
                {"id": i, "image_id": i, "category_id": 1 + (i > 0), "bbox": [1, 1, 6, 6]} for i in range(len(names))
            ],
            "categories": [{"id": 1, "name": "red"}, {"id": 2, "name": "green"}],
        }

    path = tmp_path / "boxes.json"
    path.write_text(json.dumps(boxes([photos[0].name, photos[1].name])))
    options = {"methods": ["grad-cam"], "layer": "4", "boxes": path, "metrics": ["pointing-game", "sparseness"]}
    table = seewhy.evaluate(vision, photos[:2], "red", **options)
    assert table.errors == {f"red: {photos[1]}": "is not annotated, so nothing is held against annotations"}
    assert sorted(table.measured[str(photos[1])]["red"]["grad-cam"]) == ["sparseness"] and table.counted() == 2
    with pytest.raises(seewhy.SeewhyError, match="since the annotations name theirs"):
        seewhy.evaluate(vision, photos[:2], lambda outputs: outputs[:, 0], **options)
    (tmp_path / "bad.png").write_text("no photo")
    table = seewhy.evaluate(vision, [tmp_path / "bad.png", *photos[:2]], **options)  # it costs no other
    assert table.counted() == 2 and list(table.errors) == [str(tmp_path / "bad.png")]


def test_annotations_are_held_against_headers(vision, photos, tmp_path, monkeypatch):
    """No pixel is decoded for the sizes, and a photo that turns out to be damaged costs no other."""
    names = ["a.jpg", "b.jpg"]
    for name, photo in zip(names, photos, strict=False):
        with Image.open(photo) as image:
            image.convert("RGB").resize((320, 320)).save(tmp_path / name)
    content = {
        "images": [{"id": i, "file_name": name, "width": 320, "height": 320} for i, name in enumerate(names)],
        "annotations": [{"id": i, "image_id": i, "category_id": 1, "bbox": [140, 140, 40, 40]} for i in range(2)],
        "categories": [{"id": 1, "name": "red"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    cut = (tmp_path / "b.jpg").read_bytes()
    (tmp_path / "b.jpg").write_bytes(cut[: len(cut) * 4 // 5])
    asked = [tmp_path / name for name in names]
    with monkeypatch.context() as patched:
        patched.setattr(_asked, "open_header", lambda source: opened.append(source) or open_header(source))
        patched.setattr("seewhy.images._to_rgb", lambda image, name: pytest.fail("decoded"))
        opened = []
        found = _asked.annotations_of(
            tmp_path / "boxes.json", [Shown(str(path), path, "") for path in asked], seewhy.Explainer(vision), None
        )
    assert opened == asked and found.classes(0) == found.classes(1) == [0]
    table = seewhy.evaluate(
        vision, asked, methods=["grad-cam"], metrics=["pointing-game"], boxes=tmp_path / "boxes.json", layer="4"
    )
    assert table.counted() == 1 and "truncated" in table.errors[str(asked[1])]


def test_the_first_photo_that_works_decides(vision, photos, tmp_path):
    missing = tmp_path / "missing.png"
    with pytest.raises(seewhy.SeewhyError, match="needs a class as the target"):
        seewhy.evaluate(vision, [missing, photos[0]], lambda outputs: outputs[:, 0], metrics=["average-drop"])
    table = seewhy.evaluate(vision, [missing], metrics=["sparseness"])
    assert not table.measured and "does not exist" in table.errors[str(missing)]


def test_weights_that_overflow_and_models_that_cannot_be_copied():
    class Stubborn(Own):
        def __deepcopy__(self, memo):
            raise RuntimeError("one of a kind")

    options = {"methods": ["grad-cam"], "layer": "conv"}
    table = seewhy.evaluate(Stubborn(), BATCH, 0, **options)  # what is measured unless told
    assert "copy" in table.left_out["parameter-randomisation"] and table.counted() == 2
    with pytest.raises(seewhy.SeewhyError, match="'parameter-randomisation' needs a copy"):
        seewhy.evaluate(Stubborn(), BATCH, 0, metrics=["parameter-randomisation"], **options)

    class Fragile(Own):  # as nets are whose weights drawn anew overflow
        def forward(self, x):
            return super().forward(x) * (1 if torch.equal(self.conv.weight, first) else float("nan"))

    net = Fragile()
    first = net.conv.weight.detach().clone()
    table = seewhy.evaluate(net, BATCH, 0, metrics=["parameter-randomisation", "sparseness"], **options)
    assert not table.errors and np.isfinite(table["grad-cam", "sparseness"])
    assert np.isnan(table["grad-cam", "parameter-randomisation"])  # no stage says anything
    assert "no finite scores" in table.left_out["parameter-randomisation"]

    class Weightless(torch.nn.Module):  # its copy is itself: a likeness of 1 would be said of nothing
        def __init__(self):
            super().__init__()
            self.pool = torch.nn.AvgPool2d(2)

        def forward(self, x):
            halves = self.pool(x).flatten(1).tensor_split(2, dim=1)
            return torch.stack([half.square().mean(1) for half in halves], dim=1)

    options = {"methods": ["grad-cam"], "layer": "pool"}
    table = seewhy.evaluate(Weightless(), BATCH, 0, **options)
    assert "the model has no weights" in table.left_out["parameter-randomisation"] and table.counted() == 2
    with pytest.raises(seewhy.SeewhyError, match="the model has no weights"):
        seewhy.evaluate(Weightless(), BATCH, 0, metrics=["parameter-randomisation"], **options)
    found = seewhy.check(Weightless(), BATCH[:1], 0, method="layer-cam", layer="pool")["randomisation"]
    assert found.value is None and "the model has no weights" in found.sentence
    single = Own(outputs=1)
    table = seewhy.evaluate(single, BATCH, 0, methods=["grad-cam"], layer="conv")
    assert table.left_out["class-sensitivity"] == "needs a model of several classes"


def test_errors_are_kept_where_a_run_goes_on_and_failed_photos_are_tried_again(vision, photos, tmp_path):
    options = {"metrics": ["sparseness"], "layer": "4", "state": tmp_path / "run.json"}
    asked = [photos[0], tmp_path / "late.png"]
    table = seewhy.evaluate(vision, asked, methods=["cam"], **options)
    assert table.counted() == 1 and len(table.errors) == 2
    (tmp_path / "late.png").write_bytes(photos[1].read_bytes())
    table = seewhy.evaluate(vision, asked, methods=["cam"], **options)
    assert table.counted() == 2 and sorted(table.errors) == sorted(f"cam: {name}" for name in asked)


class Two(torch.nn.Module):
    """An image, and a number that goes with it."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(1, 2, 3)

    def forward(self, image, number):
        return torch.relu(self.conv(image)).mean((2, 3)) * number


def test_of_several_inputs_each_photo_has_its_own():
    seen, numbers = [], torch.tensor([[1.0], [3.0]])
    net = Two()
    options = {"methods": ["grad-cam"], "metrics": [asking(seen)], "layer": "conv"}
    table = seewhy.evaluate(net, (BATCH, numbers), 0, **options)
    assert len(table.measured) == 2 and all(name.startswith("input ") for name in table.measured)
    with torch.no_grad():
        np.testing.assert_allclose([seen[0].score, seen[3].score], net(BATCH, numbers)[:, 0], rtol=1e-5)
    assert seewhy.evaluate(net, (BATCH[:1], numbers[:1]), 0, **options).counted() == 1


def test_grids_repeat_nothing_that_only_photos_need():
    net = nets.seeded(nets.GapLinear(), dtype=torch.float32)
    passes = []
    net.register_forward_hook(lambda *_: passes.append(1))

    def asked(metrics):
        passes.clear()
        batch = torch.randn(4, 3, 16, 16)
        seewhy.evaluate(net, batch, [0, 1, 2, 3], methods=["grad-cam"], metrics=metrics, layer="act")
        return len(passes)

    alone, usual = asked(["grid-pointing-game"]), asked(["sparseness", "max-sensitivity", "class-sensitivity"])
    both = asked(["grid-pointing-game", "sparseness", "max-sensitivity", "class-sensitivity"])
    assert both <= alone + usual


def test_photos_of_one_name_in_two_folders_are_two(vision, photos, tmp_path):
    (tmp_path / photos[0].name).write_bytes(photos[1].read_bytes())
    opened = [open_photo(photos[0]), open_photo(tmp_path / photos[0].name)]
    table = seewhy.evaluate(vision, opened, methods=["grad-cam"], metrics=["sparseness"], layer="4")
    assert list(table.measured) == [str(photos[0]), str(tmp_path / photos[0].name)]
    arrays = [np.asarray(photo.image) for photo in opened]
    assert seewhy.evaluate(vision, arrays, methods=["grad-cam"], metrics=["sparseness"], layer="4").counted() == 2


def test_a_photo_called_like_a_grid_counts(vision, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "grid of cats.png").write_bytes(photos[0].read_bytes())
    table = seewhy.evaluate(vision, ["grid of cats.png"], methods=["grad-cam"], metrics=["sparseness"], layer="4")
    assert table.counted() == 1


def test_memory_bounds_what_is_explained_at_once():
    sizes, net = [], Own()
    net.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    options = {"methods": ["grad-cam"], "metrics": [("max-sensitivity", {"samples": 8})], "layer": "conv"}
    whole = seewhy.evaluate(net, BATCH[:1], 0, **options)
    assert max(sizes) == 8
    sizes.clear()
    small = seewhy.evaluate(net, BATCH[:1], 0, memory=2 * 17 * 256 / 2**20, **options)
    assert max(sizes) == 2
    np.testing.assert_allclose(small.values(), whole.values(), rtol=1e-4)


def test_unless_told_batches_are_small_on_the_cpu():
    sizes, net = [], Own()
    net.register_forward_pre_hook(lambda _, inputs: sizes.append(len(inputs[0])))
    image = torch.rand(1, 1, 512, 512)  # 1 MiB, and 16 more are reckoned for the model: 3 images within 64
    options = {"methods": ["grad-cam"], "metrics": [("deletion", {"step": 512 * 64})], "layer": "conv"}
    seewhy.evaluate(net, image, 0, **options)
    assert max(sizes) == 3
    sizes.clear()
    seewhy.evaluate(net, image, 0, memory=256, **options)
    assert max(sizes) == 8


def test_the_estimate_counts_explanations(vision, photos):
    draw = np.random.default_rng(0)
    evidence = draw.random((32, 32)).astype(np.float32)
    made = Case(
        evidence, evidence, draw.random((3, 32, 32)).astype(np.float32), 0.9, 1.0, lambda *_: pytest.fail("asked")
    )
    for name, explanations in (
        ("sparseness", 1), ("parameter-randomisation", 4), ("class-sensitivity", 3), ("max-sensitivity", 11),
    ):  # fmt: skip
        works = {name: work_of(column(name), made)}
        assert cost([column(name)], works, 1.0, 0.0) - works[name].seconds == pytest.approx(explanations), name
    for asked, images in (
        ("insertion", 5), (("insertion", {"step": 512}), 2), ("road", 18), (("road", {"order": "morf"}), 9),
        (("sensitivity-n", {"sizes": 2, "subsets": 3}), 6), ("average-drop", 1), ("sparseness", 0),
    ):  # fmt: skip
        assert work_of(column(asked), made).images == images, asked

    @metric(paper="", better="neither", passes=7)
    def refusing():
        return mean_of(lambda case: case.model(case.image[None])[0] / 0)

    with np.errstate(all="raise"):
        assert work_of(column(refusing), made).images == 7  # as it says itself
    told = []
    seewhy.evaluate(
        vision, photos[:1], methods=["grad-cam"], metrics=["sparseness"], layer="4", told=lambda _, s: told.append(s)
    )
    assert told[0] > 0  # though it shows the model no changed image


def test_runs_within_the_run_draw_no_bar_of_their_own(vision, photos, monkeypatch):
    drawn, told = [], []
    methods = [("score-cam", {"memory": 0.5})]  # several chunks
    options = {"methods": methods, "metrics": ["sparseness"], "layer": "4"}
    with monkeypatch.context() as patched:
        patched.setattr(stream, "PATIENCE", -1)
        patched.setattr(stream, "_draw", lambda stack, doing, total: drawn.append(doing) or (lambda done: None))
        patched.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        list(stream.run(2, 1, lambda part: None, "seen"))
        seewhy.evaluate(vision, photos[:2], **options)
    assert drawn == ["seen", "measuring"]
    with stream.reporting(lambda doing, done, total: told.append(doing)):
        seewhy.evaluate(vision, photos[:1], **options)
    assert told[-1] == "measuring" and len(set(told)) > 1  # whom reporting names hears of all


def test_what_somebodys_own_method_or_metric_raises_costs_no_other(vision, photos):
    def failing(capture):
        raise ValueError("boom")

    @metric(paper="", better="neither")
    def dividing():
        return mean_of(lambda case: 1 / 0)

    metrics = ["sparseness", dividing]
    table = seewhy.evaluate(vision, photos[:1], methods=["grad-cam", failing], metrics=metrics, layer="4")
    assert np.isfinite(table["grad-cam", "sparseness"]) and np.isnan(table["failing", "sparseness"])
    assert table.errors[f"failing: {photos[0]}"] == "ValueError: boom"
    assert "ZeroDivisionError" in table.errors[f"dividing of grad-cam: {photos[0]}"]


def test_seconds_do_not_count_what_is_done_once(vision, photos):
    runs = []

    def slow_at_first(capture):
        runs.append(1)
        if len(runs) == 1:
            time.sleep(0.5)
        return capture.activations.mean(1, keepdim=True)

    table = seewhy.evaluate(vision, photos[:1], methods=[slow_at_first], metrics=["seconds"], layer="4")
    assert table["slow_at_first", "seconds"] < 0.4


# ---- which photo is which --------------------------------------------------------------------------------


def arrays(photos):
    found = []
    for path in photos:
        with Image.open(path) as photo:
            found.append(np.asarray(photo))
    return found


def test_photos_from_memory_are_told_apart_by_what_is_in_them(vision, photos, tmp_path):
    options = {"methods": ["grad-cam"], "metrics": ["average-drop", ("max-sensitivity", {"samples": 2})], "layer": "4"}
    kept = {**options, "state": tmp_path / "run.json"}
    one, other = arrays(photos[:2])
    as_bytes, as_pil = photos[2].read_bytes(), Image.fromarray(arrays(photos[3:4])[0])
    first, second = seewhy.evaluate(vision, one, **kept), seewhy.evaluate(vision, other, **kept)
    alone = seewhy.evaluate(vision, other, **options)
    assert second.measured == alone.measured and first.measured != second.measured
    assert seewhy.open_table(kept["state"]).counted() == 2
    whole = seewhy.evaluate(vision, [one, other, as_bytes, as_pil], **options)
    rest = [seewhy.evaluate(vision, photo, **options) for photo in (as_bytes, as_pil)]
    merged = first.merge(second, *rest)
    assert merged.measured == whole.measured and merged.counted() == 4
    with pytest.raises(seewhy.SeewhyError, match=r"would count twice: photo .*measure each in one of the tables only"):
        merged.merge(alone)
    with pytest.raises(seewhy.SeewhyError, match="the photos 1 and 3 of 3 are the same: leave one out"):
        seewhy.evaluate(vision, [one, other, one.copy()], **options)
    batches = [torch.from_numpy(np.stack([image]).transpose(0, 3, 1, 2) / 255).float() for image in (one, other)]
    tables = [seewhy.evaluate(vision, batch, **{**kept, "state": tmp_path / "inputs.json"}) for batch in batches]
    assert tables[0].values().tolist() != tables[1].values().tolist() and tables[0].merge(tables[1]).counted() == 2


def test_a_file_that_was_replaced_is_measured_anew(vision, photos, tmp_path):
    path = tmp_path / "a.png"
    options = {"methods": ["grad-cam"], "metrics": ["average-drop"], "layer": "4"}
    kept = {**options, "state": tmp_path / "run.json"}
    path.write_bytes(photos[0].read_bytes())
    before = seewhy.evaluate(vision, [path, photos[2]], **kept)
    path.write_bytes(photos[1].read_bytes())
    told = []
    after = seewhy.evaluate(vision, [path, photos[2]], told=lambda what, _: told.append(what), **kept)
    assert told == ["1 photo, 3 methods, 1 metric (1 of 2 already measured)"]
    assert after.measured[str(path)] == seewhy.evaluate(vision, [path], **options).measured[str(path)]
    assert after.measured[str(path)] != before.measured[str(path)] and seewhy.open_table(kept["state"]).counted() == 2
    with Image.open(path) as opened:  # its name is where it lies
        assert list(seewhy.evaluate(vision, opened, **options).measured) == [str(path)]
    merged = before.merge(seewhy.evaluate(vision, [path], **options))  # another photo, of the same name
    assert merged.counted() == 3 and [name for name in merged.measured if name.startswith(f"{path} (")]


def test_an_option_that_a_method_refuses_ends_the_run_before_it_starts(vision, photos, tmp_path):
    state, told = tmp_path / "run.json", []
    with pytest.raises(seewhy.SeewhyError, match=r"the method 'score-cam \(channels=0\)': expected channels="):
        seewhy.evaluate(
            vision, photos, methods=["grad-cam", ("score-cam", {"channels": 0})], metrics=["sparseness"], layer="4",
            state=state, told=lambda what, _: told.append(what),
        )  # fmt: skip
    assert not state.exists() and not told


def test_a_photo_of_two_classes_weighs_as_much_as_one_of_one(vision, photos, tmp_path):
    content = {
        "images": [{"id": i, "file_name": photo.name, "width": 32, "height": 32} for i, photo in enumerate(photos[:2])],
        "annotations": [{"id": i, "image_id": i, "category_id": 1 + i, "bbox": [1, 1, 6, 6]} for i in range(2)],
        "categories": [{"id": 1, "name": "spot"}, {"id": 2, "name": "red"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    table = seewhy.evaluate(
        vision, photos[:2], methods=["grad-cam"], metrics=["sparseness"], layer="4", boxes=tmp_path / "boxes.json",
        classes={"spot": ["red", "green"], "red": ["red"]},
    )  # fmt: skip
    of_each = [
        [found["grad-cam"]["sparseness"][0] for found in table.measured[str(photo)].values()] for photo in photos[:2]
    ]
    assert [len(found) for found in of_each] == [2, 1]
    wanted = (np.mean(of_each[0]) + of_each[1][0]) / 2
    assert table["grad-cam", "sparseness"] == pytest.approx(wanted)
    assert wanted != pytest.approx(np.mean([*of_each[0], *of_each[1]]))


def test_the_image_centre_may_be_asked_for_as_random_cam_may(vision, photos):
    table = seewhy.evaluate(
        vision, photos[:1], methods=["Image_Centre", "random-cam"], metrics=["sparseness"], layer="4"
    )
    assert table.methods == table.controls == ("image-centre", "random-cam")


def test_objects_that_the_model_does_not_see_are_named_before_the_run(vision, photos, folder, tmp_path):
    """Each mark is in a corner: a crop from the centre does not see it."""
    narrow = seewhy.Preprocess(size=(16, 16), resize=32, mean=(0, 0, 0), std=(1, 1, 1))
    cropped = seewhy.VisionModel(vision.net, narrow, planted.CLASSES, "cropped")
    options = {"methods": ["grad-cam"], "metrics": ["energy-pointing-game"], "boxes": folder / "masks", "layer": "4"}
    with pytest.warns(seewhy.SeewhyWarning, match="in 2 of 2 photos the annotated objects lie mostly outside") as told:
        seewhy.evaluate(cropped, photos[:2], **options)
    assert str(photos[0]) in str(told[0].message)
    table = seewhy.evaluate(vision, photos[:2], **options)  # sees all of them, and warnings are errors here
    assert table.asked["target"] == "the predicted class" and table.targets[str(photos[0])] == "top(1)"
    assert "annotated classes" not in table.caption()  # masks name no class


def test_an_explainer_is_no_model(photos):
    explainer = seewhy.Explainer(planted.net(), labels=planted.CLASSES)
    for call, given in ((seewhy.evaluate, [photos[0]]), (seewhy.check, photos[0])):
        with pytest.raises(seewhy.SeewhyError, match=rf"got an Explainer.*seewhy\.{call.__name__}\(net, \.\.\.\)"):
            call(explainer, given)
