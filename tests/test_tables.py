"""Tables and their metrics: options, somebody's own, shards that could not measure the same, and how they are shown."""

from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from PIL import Image

import nets
import seewhy
from seewhy.evaluate._columns import column
from seewhy.evaluate._drawing import CELL, MARGIN, draw, legend
from seewhy.evaluate.table import Table, open_table, together
from seewhy.measure import mean_of
from seewhy.metrics.average_drop import average_drop

# ---- metrics and their options ---------------------------------------------------------------------------


def test_an_option_that_a_metric_does_not_have_is_answered_with_those_that_it_has():
    def own(step=3, *, by="sum"):
        return mean_of(lambda case: float(step))

    def needing(*, step):
        return mean_of(lambda case: float(step))

    def taking(**options):
        return mean_of(lambda case: float(options["step"]))

    for asked, words in (
        (("insertion", {"steps": 3}), "the metric 'insertion' has no option 'steps': it has step, kernel, sigma"),
        (("sparseness", {"step": 3}), "the metric 'sparseness' has no option 'step': it has none"),
        ((own, {"stpe": 3}), "the metric 'own' has no option 'stpe': it has step, by"),
        (needing, "'needing' cannot be made of these options: missing a required argument: 'step'"),
        (("insertion", 3584), "expected the options of 'insertion' as a dict, such as {'step': 3584}, got 3584"),
        (("insertion", {"step": 0}), "the metric 'insertion': expected step= as a whole number"),
    ):
        with pytest.raises(seewhy.SeewhyError) as raised:
            column(asked)
        assert words in str(raised.value)
    assert column((own, {"step": 5})).title == "own (step=5)"
    assert column((needing, {"step": 5})).options == column((taking, {"step": 5})).options == {"step": 5}


def test_what_makes_a_metric_is_a_function_with_a_name_of_its_own():
    def insertion():
        return mean_of(lambda case: 0.0)

    def average_drop_():
        return mean_of(lambda case: 0.0)

    for asked, words in (
        (mean_of(lambda case: 0.0), "give a function that makes it, such as def my_metric()"),
        (insertion, "your own metric 'insertion' is called as one of seewhy's"),
        (3, "expected each metric as a name, a function"),
        (("insertion", {}, {}), "expected each metric as a name, a function"),
        (lambda: 3, "to make a seewhy.measure.Metric, got int: return Metric(update=..., compute=...)"),
    ):
        with pytest.raises(seewhy.SeewhyError) as raised:
            column(asked)
        assert words in str(raised.value)
    average_drop_.__name__ = "average_drop"  # as the file's name, and not the catalogue's spelling
    with pytest.raises(seewhy.SeewhyError, match="your own metric 'average_drop' is called as"):
        column(average_drop_)
    assert column(average_drop).title == "average-drop"  # the catalogue's own, by whichever way it is given


# ---- shards ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def vision():
    preprocess = seewhy.Preprocess(size=(16, 16), resize=None, mean=(0, 0, 0), std=(1, 1, 1))
    net = nets.seeded(nets.GapLinear(), dtype=torch.float32)
    return seewhy.VisionModel(net, preprocess, None, "small")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder, draw = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for name in "abcdef":
        Image.fromarray(draw.integers(0, 256, (16, 16, 3), np.uint8)).save(folder / f"{name}.png")
    return sorted(folder.glob("*.png"))


OPTIONS = {"methods": ["grad-cam"], "metrics": None, "layer": "act"}
TARGETS = [0, 1, 2, 3, 0, 1]


def measured(vision, photos, which, **options):
    return seewhy.evaluate(vision, [photos[i] for i in which], [TARGETS[i] for i in which], **{**OPTIONS, **options})


def test_shards_that_could_not_measure_the_same_add_up_to_one_run(vision, photos):
    whole = measured(vision, photos, range(6))
    four, two = measured(vision, photos, range(4)), measured(vision, photos, (4, 5))
    assert "grid-pointing-game" in four.metrics and "grid-pointing-game" not in two.metrics
    here = [i for i, title in enumerate(whole.metrics) if title != "seconds"]
    for merged in (four.merge(two), two.merge(four)):
        assert merged.metrics == whole.metrics and merged.counted() == 6
        np.testing.assert_allclose(merged.values()[:, here], whole.values()[:, here])
        assert merged.left_out == {
            "grid-pointing-game": "needs four photos of four different classes (left out for 2 photos)"
        }
    five, six = measured(vision, photos, (4,)), measured(vision, photos, (5,))
    both = five.merge(six)
    assert both.left_out == two.left_out == {"grid-pointing-game": "needs four photos of four different classes"}
    assert both.merge(four).left_out == two.merge(four).left_out
    again = four.merge(five).merge(six).left_out["grid-pointing-game"]
    assert again == "needs four photos of four different classes (left out for 1 photo)"
    with pytest.raises(seewhy.SeewhyError, match="tables of different metrics"):
        four.merge(measured(vision, photos, (4,), metrics=["sparseness"]))


def test_a_run_goes_on_with_photos_that_make_a_grid_possible(vision, photos, tmp_path):
    state = tmp_path / "run.json"
    options = {"metrics": None, "state": state}
    one = measured(vision, photos, (0,), **options)
    assert "grid-pointing-game" in one.left_out
    whole = measured(vision, photos, range(4), **options)
    assert "grid-pointing-game" in whole.metrics and not whole.left_out
    assert whole["grad-cam", "grid-pointing-game"] == pytest.approx(
        measured(vision, photos, range(4))["grad-cam", "grid-pointing-game"]
    )
    again = measured(vision, photos, (0,), **options)  # and back: what was measured of others stays in the file
    assert "grid-pointing-game" in again.left_out and again.counted() == 1
    kept = open_table(state)
    assert kept.counted() == 4 and kept.metrics == whole.metrics and not kept.left_out
    np.testing.assert_array_equal(kept.values(), whole.values())


def test_columns_of_two_tables_keep_their_order():
    a, b, c, d = map(column, ("average-drop", "insertion", "deletion", "seconds"))
    assert together((a, b, d), (a, b, c, d)) == together((a, b, c, d), (d,)) == (a, b, c, d)
    assert together((c, d), (a, b, c)) == (a, b, c, d) and together((), (a, b)) == (a, b)


# ---- words -----------------------------------------------------------------------------------------------


def table(values, *, left_out=(), errors=(), photos=("a.jpg",)):
    """A table of sparseness and complexity: {method: (one, other)}, the last method a control."""
    columns = (column("sparseness"), column("complexity"))
    sums = {
        method: {c.title: [value, 1.0] for c, value in zip(columns, row, strict=True) if value is not None}
        for method, row in values.items()
    }
    return Table(
        "net <1>", tuple(values), tuple(values)[-1:], columns, {photo: {"cat": sums} for photo in photos},
        dict(left_out), dict(errors), {}, dict.fromkeys(photos, "cat"),
    )  # fmt: skip


class Cells(HTMLParser):
    """Rows of cells of a page, and the texts in bold and in italics; every tag that is opened must be closed."""

    def __init__(self, page):
        super().__init__()
        self.rows, self.marked, self.open = [], {"b": [], "i": [], "p": []}, []
        self.feed(page)
        assert not self.open

    def handle_starttag(self, tag, _):
        assert tag in ("table", "thead", "tbody", "tr", "th", "td", "b", "i", "p"), tag
        self.open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if not text.strip():
            return
        if {"th", "td"} & {*self.open}:
            self.rows[-1][-1] += text
        for tag in {*self.open} & {*self.marked}:
            self.marked[tag].append(text)


def test_a_notebook_shows_the_table():
    shown = Cells(
        table(
            {"<b>mine</b>": (0.25, 9.0), "grad-cam": (0.5, None), "chance": (0.12345, 10.0)},
            left_out={"road": "needs a <probability>"}, errors={"a": "b"},
        )._repr_html_()
    )  # fmt: skip
    assert shown.rows == [
        ["method", "sparseness ↑", "complexity ↓"],
        ["<b>mine</b>", "0.25", "9"],
        ["grad-cam", "0.5", ""],
        ["chance (control)", "0.123", "10"],
    ]
    assert shown.marked["b"] == ["9", "0.5"] and shown.marked["i"] == ["chance (control)"]
    first, second, third = shown.marked["p"]
    assert first == "1 photo, net <1>; ↑ higher is better, ↓ lower; the best in bold, unless a control is as good"
    assert second == "road was left out: it needs a <probability>" and third == "1 failure: see the table's errors"


def test_one_is_one_and_two_are_more():
    values = {"grad-cam": (0.25, 9.0), "chance": (0.5, 10.0)}
    assert repr(table(values)) == "<Table of 2 methods x 2 metrics on 1 photo by net <1>>"
    assert "on 2 photos by" in repr(table(values, photos=("a.jpg", "b.jpg")))
    one = Table("net", ("cam",), (), (column("seconds"),), {})
    assert repr(one) == "<Table of 1 method x 1 metric on 0 photos by net>"


def test_files_are_named_in_words(tmp_path):
    kept = table({"grad-cam": (0.25, 9.0), "chance": (0.5, 10.0)})
    with pytest.raises(
        seewhy.SeewhyError, match=r"t\.svg: a table is written as \.csv, \.json, or as a picture, .*png"
    ):
        kept.save(tmp_path / "t.svg")
    with pytest.raises(seewhy.SeewhyError, match=r"none\.json does not exist: expected a file that table\.save"):
        open_table(tmp_path / "none.json")
    with pytest.raises(seewhy.SeewhyError, match=r"cannot be read"):
        open_table(tmp_path)

    def own():
        return mean_of(lambda case: 0.0)

    path = Table("net", ("cam",), (), (column(own),), {}).save(tmp_path / "own.json")
    with pytest.raises(seewhy.SeewhyError, match=r"open_table\(path, metrics=\[\.\.\.\]\)"):
        open_table(path)
    assert open_table(path, metrics=[own]).metrics == ("own",)


def test_a_target_of_which_a_metric_says_nothing_takes_no_weight_from_its_photo():
    seconds = column("seconds")
    of_two = {"cat": {"cam": {"seconds": [0.0, 0.0]}}, "dog": {"cam": {"seconds": [4.0, 1.0]}}}
    of_one = {"cat": {"cam": {"seconds": [1.0, 1.0]}}}
    targets = {"a.jpg": "cat; dog", "b.jpg": "cat"}
    kept = Table("net", ("cam",), (), (seconds,), {"a.jpg": of_two, "b.jpg": of_one}, {}, {}, {}, targets)
    assert kept["cam", "seconds"] == 2.5


def test_a_table_that_is_asked_in_the_wrong_way_says_how():
    kept = table({"grad-cam": (0.25, 9.0), "chance": (0.5, 10.0)})
    with pytest.raises(seewhy.SeewhyError, match=r"expected a method and a metric, table\['grad-cam', 'sparseness'\]"):
        kept["grad-cam"]
    with pytest.raises(seewhy.SeewhyError, match=r"expected tables to merge, as seewhy\.evaluate gives them, got 7"):
        kept.merge(7)
    assert kept.merge(*(table({"grad-cam": (0.75, 9.0), "chance": (0.5, 10.0)}, photos=(p,)) for p in ("b", "c")))[
        "grad-cam", "sparseness"
    ] == pytest.approx((0.25 + 0.75 + 0.75) / 3)
    once = Table("net", ("cam",), (), (column(("insertion", {"step": 9})), column("road")), {})
    assert np.isnan(once["cam", "insertion"])
    both = (column(("road", {"order": "morf"})), column(("road", {"order": "lerf"})))
    with pytest.raises(seewhy.SeewhyError, match=r"did you mean 'road \(order="):
        Table("net", ("cam",), (), both, {})["cam", "road"]


def test_a_table_is_printed_with_its_numbers_and_controls_never_win():
    kept = table({"grad-cam": (0.25, 9.0), "layer-cam": (0.3, 8.0), "chance": (0.5, 10.0)}, photos=("a.jpg", "b.jpg"))
    assert str(kept).splitlines() == [
        "method            sparseness ^  complexity v",
        "grad-cam                  0.25             9",
        "layer-cam                  0.3             8",
        "chance (control)           0.5            10",
        "2 photos, net <1>; ^ higher is better, v lower",
    ]
    assert Cells(kept._repr_html_()).marked["b"] == ["8"]  # the control has the best sparseness
    some = replace(kept, measured={"a.jpg": kept.measured["a.jpg"]}, asked={"target": "the annotated classes"})
    assert some.caption().startswith("1 of 2 photos, net <1>; explained for the annotated classes; ^")
    two = replace(some, measured={"a.jpg": {name: kept.measured["a.jpg"]["cat"] for name in ("cat", "dog")}})
    assert "a photo of several classes counts once, by their mean" in two.caption()
    columns = [column("parameter-randomisation")]
    sums = {name: {"parameter-randomisation": [value, 1.0]} for name, value in (("a", -0.9), ("b", 0.1), ("c", 0.5))}
    signed = Table("net", ("a", "b", "c"), (), tuple(columns), {"a.jpg": {"cat": sums}})
    assert Cells(signed._repr_html_()).marked["b"] == ["0.1"] and "0 nearest to 0" in signed.caption()


def test_a_table_is_split_where_it_is_wider_than_the_terminal(monkeypatch):
    names = ("smooth-grad-cam-plus-plus (samples=32)", "grad-cam", "chance")
    metrics = ("average-drop", ("insertion", {"step": 3584}), "parameter-randomisation", "seconds")
    columns = tuple(map(column, metrics))
    sums = {name: {c.title: [-0.0123 - i, 1.0] for c in columns} for i, name in enumerate(names)}
    kept = Table("net", names, names[-1:], columns, {"a.jpg": {"cat": sums}}, targets={"a.jpg": "cat"})
    whole = str(kept).splitlines()
    assert len(whole) == 5  # in a file nothing is split
    for width in (66, 80, 100):
        monkeypatch.setenv("COLUMNS", str(width))
        *lines, note = str(kept).splitlines()
        assert all(len(line) <= width for line in lines) and note == whole[-1]
        parts = "\n".join(lines).split("\n\n")
        assert len(parts) > 1 and all([*map(str.split, part.splitlines())][2][0] == "grad-cam" for part in parts)
        for cell in {word for line in whole[:-1] for word in line.split()}:
            assert cell in str(kept)
    monkeypatch.setenv("COLUMNS", "20")  # narrower than a name: each metric by itself, and nothing cut
    assert str(kept).count(names[0]) == 4


def test_what_prints_the_same_is_as_good():
    rows = {"a": (0.35604, 9.0), "b": (0.35597, 8.0), "c": (0.2, 8.0), "chance": (0.1, 8.0)}
    assert Cells(table(rows)._repr_html_()).marked["b"] == ["0.356", "0.356"]  # the control is as good in the other
    seconds = (column("seconds"),)
    sums = {name: {"seconds": [taken, 1.0]} for name, taken in (("a", 0.5), ("b", 0.1))}
    assert not Cells(Table("net", ("a", "b"), (), seconds, {"a.jpg": {"cat": sums}})._repr_html_()).marked["b"]


def test_methods_are_told_apart_by_their_options(vision, photos, tmp_path):
    def asked(channels, which=(0,), **options):
        methods = [("score-cam", {"channels": channels})]
        return measured(vision, photos, which, **{"methods": methods, "metrics": ["sparseness"], **options})

    one = asked(2, state=tmp_path / "run.json")
    assert one.methods == ("score-cam (channels=2)", "random-cam", "image-centre")
    assert one["score-cam", "sparseness"] == one["score-cam (channels=2)", "sparseness"]
    assert one.to_csv().splitlines()[1].startswith("score-cam (channels=2),")
    assert open_table(one.save(tmp_path / "t.json")).methods == one.methods and "score-cam (channels=2)" in str(one)
    assert one.merge(asked(2, (1,))).counted() == asked(2, (0, 1), state=tmp_path / "run.json").counted() == 2
    with pytest.raises(seewhy.SeewhyError, match="different methods"):
        one.merge(asked(1, (1,)))
    with pytest.raises(seewhy.SeewhyError, match="a run of other methods"):
        asked(1, state=tmp_path / "run.json")


def test_a_class_that_is_hardly_probable_is_named(vision, photos, tmp_path):
    class Sure(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.bias = vision.net, torch.tensor([0.0, 0.0, -20.0, 0.0])

        def forward(self, x):
            return self.net(x)[:, :4] + self.bias

    sure = seewhy.VisionModel(Sure(), vision.preprocess, None, "sure")
    options = {"metrics": ["drop-in-deletion", "sparseness"], "layer": "net.act"}
    faint = measured(sure, photos, (1, 2), **options, state=tmp_path / "run.json")  # asked for 1 and 2
    assert list(faint.faint) == [str(photos[2])] and "class 2" in faint.faint[str(photos[2])]
    [words] = faint.cautions()
    assert f"below 0.01 in {photos[2]} (class 2 " in words and "drop-in-deletion, mean little" in words
    assert words in str(faint) and words in faint._repr_html_().replace("&#x27;", "'")
    assert faint.figure().height > replace(faint, faint={}).figure().height
    assert open_table(tmp_path / "run.json").faint == faint.faint
    assert measured(sure, photos, (1,), **options, state=tmp_path / "run.json").cautions() == []
    assert measured(sure, photos, (1,), **options).merge(measured(sure, photos, (2,), **options)).faint == faint.faint
    assert not measured(sure, photos, (2,), **{**options, "metrics": ["sparseness"]}).cautions()


# ---- the picture -----------------------------------------------------------------------------------------


def test_headings_stand_over_their_columns_and_inside_the_picture():
    names = ["complexity", "parameter-randomisation", "road (order=a-long-option-of-ones-own, steps=20)", "e"]
    values = np.asarray([[0.0, 1, 2, 3], [3, 2, 1, 0]])
    drawn = np.asarray(draw(values, ["a-method-with-a-long-name " * 3, "b"], [], names, ["nearest 0"] * 4, "2 photos"))
    ink = (drawn < 160).all(axis=2)
    assert not ink[:4].any() and not ink[-4:].any() and not ink[:, :4].any() and not ink[:, -4:].any()
    assert ink.any(axis=1).argmax() < 2 * MARGIN  # no blank strip
    across = np.flatnonzero((np.ptp(drawn.astype(int), axis=2) > 20).any(axis=0))  # the shaded cells
    start = int(across[0])
    assert abs(int(across[-1]) + 1 - start - 4 * CELL[0]) <= 2
    top = int(np.flatnonzero((np.ptp(drawn.astype(int), axis=2) > 20).any(axis=1))[0])
    heads = ink[: top - 1]
    assert not heads[:, : start - 2].any()
    for j in range(4):
        here = heads[:, start + j * CELL[0] : start + (j + 1) * CELL[0]]
        found = np.flatnonzero(here.any(axis=0))
        assert abs((found[0] + found[-1]) / 2 - CELL[0] / 2) < 4  # in the middle of its column
        assert found[0] > 2 and found[-1] < CELL[0] - 3


def test_the_picture_says_how_its_shades_are_read():
    shaded, plain = np.asarray([[0.0], [1.0]]), np.asarray([[np.nan], [np.nan]])
    first, shading, bold = legend("2 photos, net", shaded, shaded == 1)
    assert first == "2 photos, net" and "relative within the column" in shading
    assert shading.index("worst") < shading.index("best") and "unless a control" in bold
    assert len(legend("2 photos, net", shaded, shaded > 1)) == 2 and legend("", plain, plain == 1) == []
