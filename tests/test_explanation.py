"""The result: indexing, heatmaps on the right pixels, boxes, words, pictures, files."""

import json
import os
import re

import numpy as np
import pytest
import torch
from PIL import Image

import nets
import seewhy
from seewhy.images import Photo
from seewhy.photos import embedded_photo, explain_grid
from seewhy.preprocess import Geometry
from seewhy.types import BoundTarget
from seewhy.view import View


@pytest.fixture(scope="module")
def net():
    return nets.seeded(nets.Plain(), dtype=torch.float32)


@pytest.fixture(scope="module")
def several(net):
    x = torch.randn(3, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    return seewhy.explain(net, x, [[0, 1, 2]] * 3, labels=["ant", "bee", "cat", "dog"])


def made(coarse, size=(40, 60), region=None, photo=None, **changes):
    """An Explanation of one photo with a map made by hand."""
    coarse = np.asarray(coarse, np.float32)[None, None]
    photo = photo or Photo(Image.new("RGB", size[::-1], (90, 120, 150)), "made")
    view = View(Geometry(size, region or tuple((0.0, float(n)) for n in size)), photo)
    fields = dict(
        maps=coarse, scores=np.asarray([[3.0]], np.float32), outputs=np.asarray([[3.0, 1.0]], np.float32),
        blank=np.asarray([[not (coarse > 0).any()]]), flat=np.asarray([[False]]),
        targets=((BoundTarget(lambda y: y[:, 0], "ant", 0),),),
        layer="conv", method="grad-cam", model="made", views=(view,),
        probabilities=np.asarray([[0.9, 0.1]], np.float32), names=["ant", "bee"], peak=float(coarse.max()),
    )  # fmt: skip
    return seewhy.Explanation(**{**fields, **changes})


def test_indexing(several):
    assert len(several) == 3
    assert [one.labels for one in several] == [[["ant", "bee", "cat"]]] * 3
    one = several[1, 2]
    assert one.maps.shape == (1, 1, 4, 6)
    assert torch.equal(one.maps[0, 0], several.maps[1, 2])
    assert one.labels == [["cat"]] and one.scores.shape == (1, 1) and one.outputs.shape == (1, 4)
    assert np.array_equal(one.heatmap(), several.heatmap(1, 2))
    assert torch.equal(several[-1].maps[0], several.maps[2])
    for index in (3, (0, 3), -4):
        with pytest.raises(IndexError):
            several[index]
    assert "3 image(s) x 3 target(s)" in repr(several)


def test_helpers_ask_which_where_there_are_several(several):
    for helper in (several.heatmap, several.overlay, several.boxes, several.mask):
        with pytest.raises(seewhy.SeewhyError, match=r"3 image\(s\) x 3 target\(s\): say which"):
            helper()
    assert several[0].heatmap(j=1).shape == (6, 8)


def test_a_frozen_result(several):
    with pytest.raises(AttributeError):
        several.layer = "other"


def test_scales(several):
    peaks = several.maps.amax((2, 3))
    i, j = divmod(int(peaks.argmin()), 3)
    own, shared = several.heatmap(i, j), several.heatmap(i, j, scale="batch")
    assert own.dtype == np.float32
    np.testing.assert_allclose(shared, own * float(peaks.min() / peaks.max()), atol=1e-6)
    np.testing.assert_array_equal(several[i, j].heatmap(scale="batch"), shared)  # the scale stays with its call
    absolute = several.heatmap(i, j, scale=(0.0, 2 * float(peaks[i, j])))
    np.testing.assert_allclose(absolute, own / 2, atol=1e-6)
    assert several.heatmap(0, 0, scale=(-1e9, -1e8)).min() == 1
    for wrong in ((1.0, 1.0), (2, 1)):
        with pytest.raises(seewhy.SeewhyError, match="scale"):
            several.heatmap(0, 0, scale=wrong)


def test_the_heatmap_lies_on_the_right_pixels_of_a_cropped_photo():
    """A model that answers how white each place is: its map must lie on the white square, wherever the crop put it."""

    class Whiteness(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(3, 1, 8, stride=8, bias=False)
            self.conv.weight.data.fill_(1 / 192)

        def forward(self, x):
            return self.conv(x).mean((2, 3)).expand(-1, 2) * torch.tensor([1.0, -1.0])

    preprocess = seewhy.Preprocess(size=(64, 64), resize=72, mean=(0, 0, 0), std=(1, 1, 1))
    for left, top in ((150, 60), (100, 20), (215, 110)):
        pixels = np.zeros((180, 360, 3), np.uint8)
        pixels[top : top + 40, left : left + 40] = 255
        explanation = seewhy.explain(Whiteness(), pixels, 0, preprocess=preprocess)
        heatmap = explanation.heatmap()
        assert heatmap.shape == (180, 360)
        rows, columns = np.indices(heatmap.shape)
        assert (heatmap * rows).sum() / heatmap.sum() == pytest.approx(top + 19.5, abs=2)
        assert (heatmap * columns).sum() / heatmap.sum() == pytest.approx(left + 19.5, abs=2)
        # the crop is 160 of 180 x 160 of 360 pixels of the photo, in its middle
        outside = np.ones_like(heatmap, bool)
        outside[10:170, 100:260] = False
        assert (heatmap[outside] == 0).all()
        assert not np.any(np.asarray(explanation.overlay())[outside] != pixels[outside])
        box = explanation.boxes(0.5)[0]
        assert abs(box.left - left) <= 12 and abs(box.bottom - (top + 40)) <= 12


def test_ones_own_transform_is_located():
    def transform(image):
        small = image.resize((96, 48), Image.Resampling.BILINEAR).crop((20, 4, 60, 44))
        return (np.asarray(small, np.float32) / 127.5 - 1).transpose(2, 0, 1)

    photo = Photo(Image.effect_noise((384, 192), 80).convert("RGB"), "noise")
    explanation = seewhy.explain(nets.seeded(nets.Plain(), dtype=torch.float32), photo, 0, preprocess=transform)
    (top, bottom), (left, right) = explanation.views[0].geometry.region
    assert (top, bottom, left, right) == pytest.approx((16, 176, 80, 240), abs=1.0)

    def flip(image):
        return transform(image)[:, :, ::-1]

    def flat(image):
        return np.asarray(image).ravel()

    def random(image):
        left = int(generator.integers(0, 50))
        return transform(image.crop((left, 0, left + 300, 192)))

    generator = np.random.default_rng(0)
    for wrong, words in (
        (flip, "resize, crop and normalise"),
        (flat, r"\(c, h, w\)"),
        (random, "this preprocess is random"),
    ):
        with pytest.raises(seewhy.SeewhyError, match=words):
            seewhy.explain(nets.Plain(), photo, 0, preprocess=wrong)


def test_photos_need_a_preprocess_and_batches_do_not(net, coffee):
    with pytest.raises(seewhy.SeewhyError, match=r"preprocess=seewhy.Preprocess\(size"):
        seewhy.explain(net, coffee)
    explanation = seewhy.explain(net, [coffee, coffee], preprocess="imagenet")
    assert len(explanation) == 2 and explanation.heatmap(0).shape == (400, 600)
    with pytest.raises(seewhy.SeewhyError, match="preprocess="):
        seewhy.Explainer(net, preprocess="image-net")
    with pytest.raises(seewhy.SeewhyError, match=r"list of images is empty"):
        seewhy.explain(net, [], preprocess="imagenet")
    with pytest.raises(seewhy.SeewhyError, match=r"expected a photo .*got float"):
        seewhy.explain(net, 1.5, preprocess="imagenet")
    with pytest.raises(seewhy.SeewhyError, match=r"photo 2 of 2: .*does not exist"):
        seewhy.explain(net, [coffee, "nowhere.jpg"], preprocess="imagenet")


def test_numpy_batches(net):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 40, 60, 3), np.uint8)
    photos = seewhy.explain(net, pixels, 0, preprocess="imagenet")
    assert np.array_equal(photos.heatmap(1), seewhy.explain(net, list(pixels), 0, preprocess="imagenet").heatmap(1))
    ready = np.random.default_rng(0).standard_normal((2, 3, 8, 9)).astype(np.float32)
    assert torch.equal(seewhy.explain(net, ready, 0).maps, seewhy.explain(net, torch.from_numpy(ready), 0).maps)


def test_mask_and_boxes_on_the_photos_own_pixels():
    explanation = made([[0, 0, 0, 0], [0, 8, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]], size=(40, 40))
    assert explanation.heatmap().max() == np.float32(0.95**2)  # no pixel lies on the centre of the cell
    boxes = explanation.boxes()
    assert boxes[0] == (6, 6, 24, 24)  # linear to 0 over ten pixels: above 15 % up to 8.5 from a cell's centre
    assert len(boxes) == 1
    assert len(explanation.boxes(0.1)) == 2
    mask = explanation.mask(0.5)
    assert mask.dtype == bool and mask.shape == (40, 40) and mask[15, 15] and not mask[5, 5]
    with pytest.raises(seewhy.SeewhyError, match="threshold"):
        explanation.mask(1.0)


def test_a_blank_map_is_said_everywhere():
    explanation = made(np.zeros((3, 3)))
    assert explanation.blank.tolist() == [[True]]
    for scale in ("image", "batch", (0.0, 1.0)):
        assert not explanation.heatmap(scale=scale).any()
    assert explanation.boxes() == [] and not explanation.mask().any()
    assert "Nothing at layer conv speaks for 'ant'" in explanation.describe()
    picture = np.asarray(explanation.overlay())
    assert picture.shape == (40, 60, 3)
    assert (picture[:5] == (90, 120, 150)).all()
    assert not (picture == (90, 120, 150)).all()  # the caption
    classic = np.asarray(explanation.overlay(style="classic"))
    assert (classic == picture).all()


def test_a_score_that_does_not_change_is_no_finding():
    net = nets.seeded(nets.Head("softmax"), dtype=torch.float32)
    with torch.no_grad():
        net.inner.head.weight.mul_(1e5)
    x = torch.randn(1, 3, 6, 6)
    saturated = seewhy.explain(net, x, layer="inner.features", score="output")
    assert saturated.blank.all() and saturated.flat.all()
    assert "does not change with layer inner.features at all" in saturated.describe()
    assert "Nothing" not in saturated.describe()
    assert not seewhy.explain(net, x, layer="inner.features").flat.any()
    blank = seewhy.explain(net, x, layer="inner.features", method=lambda c: -c.activations[:, :1].abs())
    assert blank.blank.all() and not blank.flat.any()
    assert not seewhy.explain(net, x, layer="inner.features", method="random-cam").flat.any()


def test_evidence_in_the_padding_only():
    coarse = np.zeros((4, 4))
    coarse[0, 0] = 1.0
    padded = made(coarse, size=(40, 60), region=((-120.0, 160.0), (-110.0, 170.0)))
    assert not padded.blank.any() and not padded.heatmap().any()
    assert padded.describe().endswith("lies outside the photo, in what was padded.")
    assert padded.boxes() == []
    assert not (np.asarray(padded.overlay()) == (90, 120, 150)).all()  # the caption


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ((0, 0), "towards the top left"),
        ((2, 4), "towards the bottom right"),
        ((1, 0), "towards the left"),
        ((2, 2), "towards the bottom"),
        ((1, 2), "around the centre"),
    ],
)
def test_describe_says_where(place, words):
    coarse = np.zeros((3, 5))
    coarse[place] = 2.0
    said = made(coarse).describe()
    assert said.startswith("Predicted: ant, 90% (next: bee, 10%). 80% of the evidence for 'ant' lies in ")
    assert said.endswith(words + ".")


def test_describe_of_a_panorama_of_which_the_model_saw_a_sliver():
    sliver = made(np.ones((4, 4)), size=(60, 60_000), region=((0.0, 60.0), (29_970.0, 30_030.0)))
    assert sliver.describe().endswith(
        "lies in less than 1% of the photo, around the centre. The model saw less than 1% of the photo."
    )


def test_describe_says_how_much_in_how_much():
    half = np.zeros((4, 4))
    half[:, :2] = 1.0
    assert re.search(r"in 4[0-2]% of the photo", made(half, size=(400, 400)).describe())
    assert "spread over 80% of the photo" in made(np.ones((4, 4))).describe()
    cropped = made(np.ones((4, 4)), size=(100, 100), region=((25.0, 75.0), (25.0, 75.0)))
    assert "in 20% of the photo, around the centre. The model saw 25% of the photo." in cropped.describe()
    point = np.zeros((64, 64))
    point[32, 32] = 1.0
    assert "in less than 1% of the photo" in made(point, size=(400, 400)).describe()


def test_the_map_of_a_control_is_called_no_evidence_by_what_it_is_and_not_by_its_name(net, tmp_path):
    def random_cam(capture):
        return capture.activations.mean(1)[:, None]

    x = torch.rand(1, 3, 32, 32)
    control = seewhy.explain(net, x, 0, method="random-cam")
    assert "A control, which knows nothing of" in control.describe()
    assert seewhy.open(control.save(tmp_path / "x.npz")).describe() == control.describe()
    assert "control" not in seewhy.explain(net, x, 0, method=random_cam).describe()


def test_describe_many(several):
    assert len(several.describe().splitlines()) == 9
    assert several.describe(1, 2) == several[1, 2].describe()
    assert len(several.describe(j=1).splitlines()) == 3


def test_predictions(several):
    best = several.predictions(0)
    assert [p.index for p in best] == several.outputs[0].argsort(descending=True).tolist()
    assert sum(p.probability for p in best) == pytest.approx(1)
    assert best[0].label == ["ant", "bee", "cat", "dog"][best[0].index]
    alone = made([[1.0]], outputs=None, probabilities=np.asarray([[0.2]], np.float32), names=["ant"])
    assert alone.describe().startswith("ant: 20%. ")
    single = made([[1.0]], outputs=None, probabilities=None)
    assert single.predictions() == []
    assert single.describe().startswith("80% of the evidence")


def test_overlay_styles(several):
    coarse = np.zeros((4, 4))
    coarse[1, 1] = 1
    explanation = made(coarse)
    blend = np.asarray(explanation.overlay())
    assert (blend[-5:, -5:] == (90, 120, 150)).all()  # readable where there is no evidence
    assert np.abs(blend[15, 22].astype(int) - (90, 120, 150)).max() > 40
    classic = np.asarray(explanation.overlay(style="classic"))
    assert classic[-1, -1, 2] > 150 and np.argmax(classic[15, 22]) == 0  # jet: blue for nothing, red for all
    assert not np.array_equal(blend, np.asarray(explanation.overlay(colormap="jet")))
    assert np.array_equal(np.asarray(explanation.overlay(opacity=0.0)), np.full((40, 60, 3), (90, 120, 150)))
    for wrong in (dict(colormap="infernal"), dict(opacity=1.5)):
        with pytest.raises(seewhy.SeewhyError):
            explanation.overlay(**wrong)
    assert several.figure().width > 3 * 400


def test_signals_have_heatmaps_but_no_pictures():
    net = nets.seeded(nets.Plain(1), dtype=torch.float32)
    explanation = seewhy.explain(net, torch.rand(1, 3, 20), 0)
    assert explanation.heatmap().shape == (20,)
    assert explanation._repr_png_() is None
    assert "at layer features" in explanation.describe()
    with pytest.raises(seewhy.SeewhyError, match=r"only images can be drawn"):
        explanation.overlay()
    volume = seewhy.explain(nets.seeded(nets.Plain(3), dtype=torch.float32), torch.rand(1, 3, 5, 6, 7), 0)
    assert volume.heatmap().shape == (5, 6, 7)


def test_notebook_display(several):
    assert several[0]._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
def test_saved_pictures(several, tmp_path, suffix):
    path = several[0, 0].save(tmp_path / f"one{suffix}")
    with Image.open(path) as one, Image.open(several.save(tmp_path / f"all{suffix}")) as all_of_them:
        assert one.size == (8, 6) and all_of_them.size == several.figure().size
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"all{suffix}", f"one{suffix}"]


def test_an_explained_photo_is_never_overwritten(net, tmp_path):
    path = tmp_path / "photo.png"
    Image.effect_noise((80, 60), 90).convert("RGB").save(path)
    before = path.read_bytes()
    explanation = seewhy.explain(net, path, 0, preprocess="imagenet")
    for name in (path, tmp_path / "." / "photo.png", str(path)):
        with pytest.raises(seewhy.SeewhyError, match="input photo"):
            explanation.save(name)
    os.link(path, tmp_path / "same.png")
    with pytest.raises(seewhy.SeewhyError, match="input photo"):
        explanation.save(tmp_path / "same.png")
    for missing in ("x.xyz", "nowhere/x.jpg", "x"):
        with pytest.raises(seewhy.SeewhyError):
            explanation.save(tmp_path / missing)
    assert path.read_bytes() == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["photo.png", "same.png"]


@pytest.mark.parametrize("of", ["batch", "photo", "tuple", "signal"])
def test_npz_there_and_back(net, coffee, tmp_path, of):
    if of == "photo":
        explanation = seewhy.explain(net, [coffee], [0, 2], preprocess="imagenet", labels=["ä", "b", "c", "d"])
    elif of == "tuple":
        explanation = seewhy.explain(nets.seeded(nets.Wrapped("tuple"), dtype=torch.float32), torch.rand(2, 3, 6, 6))
    elif of == "signal":
        explanation = seewhy.explain(nets.seeded(nets.Plain(1), dtype=torch.float32), torch.rand(2, 3, 9), 1)
    else:
        explanation = seewhy.explain(net, torch.rand(2, 3, 6, 7), lambda y: y[:, 0])
    path = explanation.save(tmp_path / "x.npz")
    back = seewhy.open(path)
    np.testing.assert_array_equal(back.maps, explanation.maps.numpy())
    np.testing.assert_array_equal(back.scores, explanation.scores.numpy())
    np.testing.assert_array_equal(back.blank, explanation.blank)
    assert isinstance(back.maps, np.ndarray)
    for name in ("labels", "layer", "method", "model", "peak"):
        assert getattr(back, name) == getattr(explanation, name)
    assert back.describe() == explanation.describe()
    if of != "signal":
        assert np.array_equal(np.asarray(back.figure()), np.asarray(explanation.figure()))
    np.testing.assert_array_equal(back.heatmap(0, 0), explanation.heatmap(0, 0))
    assert np.array_equal(seewhy.open(back.save(tmp_path / "again.npz")).maps, back.maps)
    with pytest.raises(seewhy.SeewhyError, match="keeps its name only"):
        back.targets[0][0].score(None)


def test_files_that_are_no_explanation(tmp_path):
    (tmp_path / "text.npz").write_text("hello")
    np.savez(tmp_path / "other.npz", a=np.ones(3))
    np.save(tmp_path / "array.npy", np.ones(3))
    np.savez(tmp_path / "object.npz", words=np.asarray([object()]))
    with pytest.raises(seewhy.SeewhyError, match="does not exist"):
        seewhy.open(tmp_path / "missing.npz")
    for name in ("text.npz", "other.npz", "array.npy", "object.npz"):
        with pytest.raises(seewhy.SeewhyError, match="not an explanation saved by seewhy"):
            seewhy.open(tmp_path / name)


def test_a_ready_batch_is_drawn_on_itself_in_its_own_range():
    x = torch.zeros(1, 1, 10, 10)
    x[..., :5] = -3.0
    x[..., 5:] = 7.0
    view = seewhy.explain(
        torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()), x, 0
    ).views[0]
    picture = view.picture()
    assert picture.shape == (10, 10, 3) and picture[0, 0].tolist() == [0] * 3 and picture[0, 9].tolist() == [255] * 3


def test_a_batch_that_was_changed_is_not_drawn_on(net):
    x = torch.rand(2, 3, 8, 8)
    explanation = seewhy.explain(net, x, 0)
    explanation.overlay(0)
    x.zero_()
    with pytest.raises(seewhy.SeewhyError, match="changed after it was explained"):
        explanation.overlay(0)
    assert explanation.heatmap(0).shape == (8, 8)


def test_a_single_output_is_a_probability_only_after_a_sigmoid():
    body = [torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()]
    body.append(torch.nn.Linear(4, 1))
    x = torch.rand(1, 3, 8, 8)
    assert seewhy.explain(torch.nn.Sequential(*body), x).predictions() == []
    [one] = seewhy.explain(torch.nn.Sequential(*body, torch.nn.Sigmoid()), x, labels=["dog"]).predictions()
    assert one.label == "dog" and 0 < one.probability < 1


def test_a_transformers_processor_is_a_preprocess(net, coffee):
    from transformers import ViTImageProcessorPil

    processor = ViTImageProcessorPil(size={"height": 64, "width": 64})
    explanation = seewhy.explain(net, coffee, 0, preprocess=processor)
    (top, bottom), (left, right) = explanation.views[0].geometry.region
    assert (top, bottom, left, right) == pytest.approx((0, 400, 0, 600), abs=1)


def test_the_embedded_model_on_the_embedded_photos(lite0):
    explainer = seewhy.Explainer(lite0)
    coffee = explainer(embedded_photo("coffee"))
    assert coffee.labels == [["espresso"]]
    assert coffee.predictions()[0].probability > 0.9
    assert coffee.describe().startswith("Predicted: espresso, 9")
    assert coffee.heatmap().shape == (400, 600)
    cup = coffee.boxes()[0]
    assert cup.left < 330 < cup.right and cup.top < 200 < cup.bottom  # where the cup stands
    both = explainer([embedded_photo("coffee"), embedded_photo("cat")], ["espresso", "tiger cat"])
    torch.testing.assert_close(both.maps[:1], coffee.maps, rtol=1e-3, atol=1e-5)


def test_each_class_of_the_grid_is_found_in_its_own_quarter(lite0):
    explanation = explain_grid(lite0)
    assert explanation.labels == [["tiger cat", "espresso", "motor scooter", "missile"]]
    for j in range(4):
        heatmap = explanation.heatmap(0, j)
        row, column = divmod(j, 2)
        quarter = heatmap[row * 224 : row * 224 + 224, column * 224 : column * 224 + 224]
        assert quarter.sum() >= 0.5 * heatmap.sum(), explanation.labels[0][j]


# ---- signed maps -----------------------------------------------------------------------------------------


def test_signed_maps_are_those_before_the_relu(net):
    x = torch.randn(3, 3, 6, 8, generator=torch.Generator().manual_seed(1))
    plain, signed = (seewhy.explain(net, x, [[0, 1]] * 3, signed=s) for s in (False, True))
    assert not plain.signed and signed.signed and signed[0, 1].signed
    assert (signed.maps < 0).any()
    assert torch.equal(signed.maps.clamp(min=0), plain.maps)
    against = seewhy.explain(net, x, [[seewhy.negative(0), seewhy.negative(1)]] * 3)
    torch.testing.assert_close((-signed.maps).clamp(min=0), against.maps)
    assert signed.peak == float(signed.maps.abs().max()) >= plain.peak


def test_a_signed_heatmap_is_from_minus_one_to_one_and_0_stays_0():
    explanation = made([[4.0, -8.0], [0.0, 0.0]], size=(2, 2), signed=True, peak=16.0)
    np.testing.assert_array_equal(explanation.heatmap(), [[0.5, -1], [0, 0]])
    np.testing.assert_array_equal(explanation.heatmap(scale="batch"), [[0.25, -0.5], [0, 0]])
    np.testing.assert_array_equal(explanation.heatmap(scale=(-4.0, 4.0)), [[1, -1], [0, 0]])
    with pytest.raises(seewhy.SeewhyError, match=r"scale=\(-limit, limit\), got \(0.0, 4.0\)"):
        explanation.heatmap(scale=(0.0, 4.0))
    assert explanation.mask().tolist() == [[True, False], [False, False]]
    assert explanation.boxes() == [(0, 0, 1, 1)]


def test_fine_maps_are_drawn_on_a_robust_scale(net, tmp_path):
    coarse = np.full((20, 20), 1.0)
    coarse[0, :3] = 100.0  # less than 1 % of the positions
    explanation = made(coarse, size=(20, 20), pixels=True)
    assert explanation.heatmap(scale="robust").min() == 1 and explanation.heatmap()[10, 10] == np.float32(0.01)
    picture = np.asarray(explanation.overlay()).astype(int)
    assert (picture[10, 10] == picture[0, 0]).all()
    assert np.array_equal(picture, np.asarray(explanation.overlay(scale="robust")))
    assert not np.array_equal(picture, np.asarray(explanation.overlay(scale="image")))
    coarse[1:, :] = 0
    coarse[0, 3:] = 0
    alone = made(coarse, size=(20, 20), pixels=True)  # the 99th percentile is 0: the highest value counts
    assert np.array_equal(alone.heatmap(scale="robust"), alone.heatmap())
    signed = made(-np.full((4, 4), 2.0), size=(4, 4), signed=True, pixels=True, blank=np.asarray([[False]]))
    assert (signed.heatmap(scale="robust") == -1).all()
    x = torch.rand(1, 3, 6, 6)
    assert not seewhy.explain(net, x, 0).pixels
    fine = seewhy.explain(net, x, 0, method="gradient")
    assert fine.pixels and seewhy.open(fine.save(tmp_path / "x.npz")).pixels


def test_a_signed_overlay_is_red_for_and_blue_against():
    coarse = np.zeros((4, 6))
    coarse[0, 0], coarse[3, 5] = 1, -1
    picture = np.asarray(made(coarse, signed=True).overlay()).astype(int) - (90, 120, 150)
    assert (picture[20, 30] == 0).all()  # as the photo where nothing speaks
    red, blue = picture[5, 5], picture[35, 55]
    assert red[0] > 80 and red[2] < -50 and blue[2] > 50 and blue[0] < -40
    with pytest.raises(seewhy.SeewhyError, match="no colours for what speaks against"):
        made(coarse, signed=True).overlay(style="classic")
    assert not np.array_equal(made(coarse, signed=True).overlay(colormap="PuOr"), made(coarse, signed=True).overlay())


def test_signed_maps_in_words():
    coarse = np.zeros((4, 4))
    coarse[0, 0], coarse[3, 3] = 3.0, -1.0
    said = made(coarse, size=(64, 64), signed=True).describe()
    assert said.startswith(
        "Predicted: ant, 90% (next: bee, 10%). 80% of the evidence for 'ant' lies in 7% of the photo, "
    )
    assert said.endswith(
        "towards the top left. 80% of the evidence against it lies in 7% of the photo, towards the bottom right. "
        "25% of all evidence is against it."
    )
    assert "Nothing speaks against it." in made(abs(coarse), signed=True).describe()
    only = made(-abs(coarse), signed=True, blank=np.asarray([[False]]))
    assert "Nothing at layer conv speaks for 'ant'. 80% of the evidence against it lies" in only.describe()
    assert only.boxes() == [] and not only.mask().any()
    assert (np.asarray(only.overlay())[5, 5] != (90, 120, 150)).any()


def test_a_blank_signed_map_is_said_everywhere(net):
    blank = made(np.zeros((3, 3)), signed=True)
    assert "Nothing at layer conv speaks for or against 'ant': the map is blank." in blank.describe()
    assert not blank.heatmap().any() and not blank.heatmap(scale="batch").any()
    assert (np.asarray(blank.overlay()) != (90, 120, 150)).any()  # the caption
    x = torch.rand(2, 3, 6, 6)
    nothing = seewhy.explain(net, x, 0, method=lambda c: c.activations[:, :1] * 0, signed=True, layer="features")
    against = seewhy.explain(net, x, 0, method=lambda c: -(c.activations[:, :1] ** 2), signed=True, layer="features")
    assert nothing.blank.all() and not against.blank.any()


def test_signed_there_and_back_and_files_from_before_there_were_any(net, tmp_path):
    explanation = seewhy.explain(net, torch.rand(1, 3, 6, 6), 0, signed=True)
    back = seewhy.open(explanation.save(tmp_path / "x.npz"))
    assert back.signed and back.describe() == explanation.describe()
    np.testing.assert_array_equal(back.heatmap(), explanation.heatmap())
    with np.load(tmp_path / "x.npz") as file:
        parts = {name: file[name] for name in file.files}
    words = json.loads(str(parts["words"]))
    del words["signed"]
    np.savez(tmp_path / "old.npz", **{**parts, "words": np.asarray(json.dumps(words))})
    assert not seewhy.open(tmp_path / "old.npz").signed
