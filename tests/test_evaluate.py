"""Tables of methods by metrics: what is measured, left out, and kept, on a model whose reasons are known."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

import nets
import planted
import seewhy
from seewhy import catalog
from seewhy.evaluate._drawing import shades
from seewhy.evaluate._tiles import cells, groups, tile
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
        ({"metrics": [("insertion", {"stride": 3})]}, "'insertion' does not take these options"),
        ({"metrics": []}, "expected metrics as a list"),
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
    assert what == "1 photos, 3 methods, 1 metrics" and 0 < seconds < 60


def test_shades_go_from_the_worst_to_the_best_and_say_nothing_of_what_is_equal():
    values = np.asarray([[1.0, 5.0, 2.0, np.nan], [3.0, 1.0, 2.0, 1.0]])
    found = shades(values, ["higher", "lower", "higher", "neither"])
    assert found[:, :2].tolist() == [[0, 0], [1, 1]] and np.isnan(found[:, 2:]).all()


def test_every_metric_says_what_it_is():
    for name in seewhy.metrics():
        make = catalog.get("metrics", name)
        info = catalog.get("metrics", name).__dict__["metric_info"]
        assert info.better in ("higher", "lower", "neither") and ">>>" in make.__doc__, name
        assert isinstance(make(), seewhy.measure.Metric)
