"""Targets in every form that users write, and the errors that show the right one."""

import numpy as np
import pytest
import torch

import nets
import seewhy

NAMES = ["cat", "African elephant", "golden retriever", "cat-like_thing"]


@pytest.fixture(scope="module")
def explain():
    net = nets.seeded(nets.Plain())
    explainer = seewhy.Explainer(net, labels=NAMES)
    batch = torch.randn(3, 3, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        net.head.bias.sub_(net(batch).mean(0))  # each class is above its mean for some image
    assert len(set(net(batch).argmax(1).tolist())) > 1  # else the tests below would tell little
    return lambda target, n=3: explainer(batch[:n], target)


def indices(explanation):
    return [[target.index for target in row] for row in explanation.targets]


def test_none_is_the_predicted_class_of_each_image(explain):
    explanation = explain(None)
    assert indices(explanation) == [[int(i)] for i in explanation.outputs.argmax(1)]


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (2, [[2]] * 3),
        (np.int64(2), [[2]] * 3),
        ("golden retriever", [[2]] * 3),
        ("AFRICAN_elephant", [[1]] * 3),
        ("cat like thing", [[3]] * 3),
        ([0, 1, 2], [[0], [1], [2]]),
        (np.array([0, 1, 2]), [[0], [1], [2]]),
        (torch.tensor([0, 1, 2]), [[0], [1], [2]]),
        (torch.tensor(2), [[2]] * 3),
        (("cat", 1, "golden_retriever"), [[0], [1], [2]]),
        ([[0, 1], [2, 3], [1, "cat"]], [[0, 1], [2, 3], [1, 0]]),
    ],
)
def test_forms(explain, target, expected):
    assert indices(explain(target)) == expected


def test_a_flat_list_for_a_single_image_is_several_targets(explain):
    assert indices(explain([3, "cat", 1], n=1)) == [[3, 0, 1]]
    assert indices(explain([[3, 0]], n=1)) == [[3, 0]]


def test_top(explain):
    explanation = explain(seewhy.top(3))
    for i in range(3):
        assert indices(explanation)[i] == explanation.outputs[i].topk(3).indices.tolist()
    assert [len(row) for row in explain([[seewhy.top(2)], [0, 1], [None, 3]]).targets] == [2, 2, 2]


def test_negative(explain):
    positive, negative = explain(1), explain(seewhy.negative("african elephant"))
    assert torch.equal(negative.scores, -positive.scores)
    assert negative.labels == [["not African elephant"]] * 3
    assert indices(negative) == [[None]] * 3  # no class: its probability would be that of the class it speaks against
    twice = explain(seewhy.negative(seewhy.negative(1)))
    assert torch.equal(twice.maps, positive.maps)
    predicted = explain(seewhy.negative())
    assert torch.equal(predicted.scores, -explain(None).scores)
    labels = [[f"not {label}" for label in row] for row in explain(seewhy.top(2)).labels]
    assert explain(seewhy.negative(seewhy.top(2))).labels == labels


def test_mixed_targets_are_each_what_they_are_alone(explain):
    def margin(outputs):
        return outputs[:, 0] - outputs[:, 1]

    mixed = explain([[margin, 2], [1, seewhy.negative(0)], [3, margin]])
    alone = [[margin, 2], [1, seewhy.negative(0)], [3, margin]]
    for i in range(3):
        for j in range(2):
            torch.testing.assert_close(mixed.maps[i, j], explain(alone[i][j]).maps[i, 0])
            torch.testing.assert_close(mixed.scores[i, j], explain(alone[i][j]).scores[i, 0])
    assert mixed.labels[0] == ["margin", "golden retriever"]


def test_a_target_object_of_ones_own(explain):
    from seewhy.types import BoundTarget

    class Unhashable(list):
        def __call__(self, outputs):
            return outputs[:, self].sum(1)

    class Both:
        def bind(self, classes):
            return [BoundTarget(Unhashable([0, classes.best(1)[0]]), "cat and the best")]

    explanation = explain(Both())
    assert explanation.labels == [["cat and the best"]] * 3
    y = explanation.outputs
    torch.testing.assert_close(explanation.scores[:, 0], y[:, 0] + y.amax(1))


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ([0, 1], r"2 targets for 3 images: .*a list with one of these for each image.*\[\[a, b\]\] \* 3"),
        ([0, 1, 2, 3], "4 targets for 3 images"),
        ([[0, 1], [2, 3]], "2 targets for 3 images"),
        ([[0], 1, 2], "3 targets for 3 images"),
        ([[0, 1], [2], [3]], "same number of targets, got 2, 1, 1"),
        ([[], [], []], "row of targets is empty"),
        ([], "0 targets for 3 images"),
        ("golden retreiver", "did you mean 'golden retriever'"),
        ("zebra crossing", "unknown class 'zebra crossing'"),
        (4, "class index 4 is out of range: this model's classes are 0 to 3"),
        (-1, "class index -1 is out of range"),
        (True, "True .bool. is no target"),
        (1.5, "1.5 .float. is no target; expected None"),
        (lambda y: y, r"one score for each image, an array of shape \(3,\), got shape \(3, 4\)"),
        (lambda y: 3.0, "got float"),
    ],
)
def test_errors_show_the_right_form(explain, target, words):
    with pytest.raises(seewhy.SeewhyError, match=words):
        explain(target)


@pytest.mark.parametrize("k", [0, -1, True])
def test_top_needs_a_whole_number(k):
    with pytest.raises(seewhy.SeewhyError, match="whole number"):
        seewhy.top(k)


def test_more_than_all_classes(explain):
    with pytest.raises(seewhy.SeewhyError, match=r"top\(5\) asks for more classes than the model has \(4\)"):
        explain(seewhy.top(5))


def test_a_name_that_two_classes_share():
    net = nets.seeded(nets.Plain())
    with pytest.raises(seewhy.SeewhyError, match=r"2 classes are called 'crane': give one of the indices \[0, 2\]"):
        seewhy.explain(net, torch.rand(1, 3, 6, 6, dtype=torch.float64), "crane", labels=["crane", "b", "Crane", "d"])


def test_names_without_labels_and_labels_of_the_wrong_number():
    net = nets.seeded(nets.Plain())
    x = torch.rand(1, 3, 6, 6, dtype=torch.float64)
    with pytest.raises(seewhy.SeewhyError, match="no class names"):
        seewhy.explain(net, x, "cat")
    with pytest.raises(seewhy.SeewhyError, match="2 labels for a model of 4 classes"):
        seewhy.explain(net, x, 0, labels=["cat", "dog"])
    assert seewhy.explain(net, x, 1).labels == [["class 1"]]
    assert seewhy.explain(net, x, "class 1").targets[0][0].index == 1
    named = seewhy.explain(net, x, 1, labels={1: "b", 0: "a", 3: "d", 2: "c"})  # as transformers write id2label
    assert named.labels == [["b"]]
    for wrong in ({1: "b", 2: "c"}, "abcd"):
        with pytest.raises(seewhy.SeewhyError, match="expected labels"):
            seewhy.Explainer(net, labels=wrong)


def test_near_names_share_the_word():
    from seewhy.errors import unknown

    assert "did you mean 'crane (bird)' or 'crane (machine)' or 'crate'?" in str(
        unknown("class", "crane", ["crate", "crane (machine)", "zebra", "crane (bird)"][::-1])
    )


# ---- one class against others ----------------------------------------------------------------------------


def test_class_difference(explain):
    explanation = explain(seewhy.class_difference("cat", "golden retriever"))
    y = explanation.outputs
    torch.testing.assert_close(explanation.scores[:, 0], y[:, 0] - y[:, 2], rtol=1e-12, atol=1e-12)
    assert explanation.labels == [["cat rather than golden retriever"]] * 3
    assert indices(explanation) == [[None]] * 3
    best = [int(i) for i in y.argmax(1)]
    other = next(c for c in range(4) if c not in best)
    predicted = explain(seewhy.class_difference(None, other))
    expected = torch.stack([row[c] - row[other] for row, c in zip(y, best, strict=True)])
    torch.testing.assert_close(predicted.scores[:, 0], expected, rtol=1e-12, atol=1e-12)
    several = explain(seewhy.class_difference(seewhy.top(3), int(y[0].argmin())), n=1)
    assert several.scores.shape == (1, 3) and (several.scores > 0).all()
    against = explain(seewhy.negative(seewhy.class_difference(0, 2)))
    assert torch.equal(against.scores, -explanation.scores)


def test_finer_is_against_the_nearest_classes_of_each_image(explain):
    explanation = explain(seewhy.finer(against=2, alpha=0.8))
    for row, score, label in zip(explanation.outputs, explanation.scores[:, 0], explanation.labels, strict=True):
        first, second, third = (int(i) for i in row.argsort(descending=True)[:3])  # below the best, nearest is next
        expected = float(row[first]) - 0.8 * (float(row[second]) + float(row[third])) / 2
        assert float(score) == pytest.approx(expected, rel=1e-12)
        assert label == [f"{NAMES[first]} rather than {NAMES[second]}, {NAMES[third]}"]
    assert len({label for [label] in explanation.labels}) > 1


def test_finer_against_classes_by_name(explain):
    explanation = explain([[0, seewhy.finer("cat", against=["golden retriever", 3])]] * 3)
    y = explanation.outputs
    torch.testing.assert_close(explanation.scores[:, 1], y[:, 0] - (y[:, 2] + y[:, 3]) / 2, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(explanation.scores[:, 0], y[:, 0], rtol=0, atol=0)
    one, difference = explain(seewhy.finer(0, against=[2])), explain(seewhy.class_difference(0, 2))
    torch.testing.assert_close(one.maps, difference.maps)
    alone = explain(seewhy.finer(0, alpha=0))
    torch.testing.assert_close(alone.maps, explain(0).maps)


def test_unbounded_scores_of_other_classes_do_not_touch_a_difference():
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
    x = torch.randn(2, 3, 6, 6)
    with torch.no_grad():
        net[0].weight[3] *= 1e18
    y = net(x).detach()
    scores = seewhy.explain(net, x, seewhy.class_difference(0, 1)).scores
    assert torch.equal(scores[:, 0], y[:, 0] - y[:, 1])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: seewhy.class_difference("cat", 0), "two different classes, got 'cat' twice"),
        (lambda: seewhy.class_difference("cat", "zebra"), "unknown class 'zebra'"),
        (lambda: seewhy.class_difference(0, 4), "0 to 3"),
        (lambda: seewhy.class_difference(0, lambda y: y[:, 0]), "expected a class to compare.*'<lambda>'"),
        (lambda: seewhy.class_difference(seewhy.negative(1), 0), "'not African elephant', which is the score of no"),
        (lambda: seewhy.class_difference(0, seewhy.top(2)), "one class b, got 2"),
        (lambda: seewhy.class_difference(0, 1.5), "1.5 .float. is no target"),
        (lambda: seewhy.finer("golden retreiver"), "did you mean 'golden retriever'"),
        (lambda: seewhy.finer(0, against=4), "more look-alikes than the model of 4 classes has: 3"),
        (lambda: seewhy.finer(0, against=0), "1 or more, or a list of classes, got 0"),
        (lambda: seewhy.finer(0, against=-2), "got -2"),
        (lambda: seewhy.finer(0, against=True), "got True"),
        (lambda: seewhy.finer(0, against=[]), "got \\[\\]"),
        (lambda: seewhy.finer(0, against="dog"), "got 'dog'"),
        (lambda: seewhy.finer(0, against=[1, "African elephant"]), "twice"),
        (lambda: seewhy.finer(0, against=[0, 1]), "got 'cat' among those"),
        (lambda: seewhy.finer(0, alpha=-1), "0 or more, got -1"),
        (lambda: seewhy.finer(0, alpha=float("nan")), "got nan"),
        (lambda: seewhy.finer(lambda y: y[:, 0]), "expected a class to compare"),
        (lambda: seewhy.region(0), "region needs score maps.*got \\(3, 4\\)"),
    ],
)
def test_comparisons_say_what_is_wrong(explain, make, words):
    with pytest.raises(seewhy.SeewhyError, match=words):
        explain(make())


def test_what_is_checked_before_any_pass_does_not_take_a_class_for_the_predicted_one():
    explainer = seewhy.Explainer(nets.seeded(nets.Plain()), labels=NAMES)
    for b in range(4):
        explainer.check(seewhy.class_difference(None, b))
    for wrong in (seewhy.class_difference(None, "zebra"), seewhy.class_difference(1, 1), seewhy.finer(against=9)):
        with pytest.raises(seewhy.SeewhyError):
            explainer.check(wrong)


# ---- a region of score maps ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dense():
    net = nets.seeded(nets.Dense(), seed=2)
    x = torch.randn(3, 3, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return net, x, net(x).detach()


def test_region_is_where_the_class_is_the_best(dense):
    net, x, y = dense
    explanation = seewhy.explain(net, x, seewhy.region("road"), labels=["sky", "sea", "tree", "road"])
    expected = torch.where(y.argmax(1) == 3, y[:, 3], 0.0).sum((1, 2))
    torch.testing.assert_close(explanation.scores[:, 0], expected)
    assert explanation.labels == [["road, region"]] * 3 and explanation.predictions(0) == []
    assert "for 'road, region'" in explanation.describe(0)


def test_region_of_a_mask_or_a_box(dense):
    net, x, y = dense
    mask = np.zeros((4, 5), bool)
    mask[1, 2] = mask[3, 0] = True
    asked = [[seewhy.region(0, mask), seewhy.region(1, (1, 0, 4, 2)), seewhy.negative(seewhy.region(0, mask))]] * 3
    scores = seewhy.explain(net, x, asked).scores
    torch.testing.assert_close(scores[:, 0], y[:, 0, 1, 2] + y[:, 0, 3, 0])
    torch.testing.assert_close(scores[:, 1], y[:, 1, 0:2, 1:4].sum((1, 2)))
    assert torch.equal(scores[:, 2], -scores[:, 0])
    for form in (torch.from_numpy(mask), mask.tolist()):
        assert torch.equal(seewhy.explain(net, x, seewhy.region(0, form)).scores, scores[:, :1])


def test_region_finds_the_score_maps_among_the_outputs(dense):
    net, x, _ = dense

    class Segments(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net = net

        def forward(self, x):
            y = self.net(x)
            return {"aux": -y, "out": y}

    explanation = seewhy.explain(Segments(), x, seewhy.region(3))
    torch.testing.assert_close(explanation.scores, seewhy.explain(net, x, seewhy.region(3)).scores)


def test_the_region_stays_where_it_was_in_further_passes(dense):
    """A changed image has its best classes elsewhere: it is asked about the same pixels."""
    from seewhy.targets._forms import Question, as_rows

    _, _, y = dense
    question = Question(as_rows([[seewhy.region(3), seewhy.negative(seewhy.region(3))]] * 3, 3), lambda classes: None)
    question(y, None)
    question.settle(y)
    changed = torch.randn(2, *y.shape[1:], dtype=y.dtype)
    scores = question.again(changed, np.asarray([2, 0]))
    for r, i in enumerate([2, 0]):
        expected = changed[r, 3][y[i].argmax(0) == 3].sum()
        torch.testing.assert_close(scores[r], torch.stack([expected, -expected]))


def test_a_place_cannot_be_asked_about_while_images_are_moved(dense):
    net, x, _ = dense
    for target in (seewhy.region(3, (0, 0, 2, 2)), seewhy.negative(seewhy.region(3))):
        with pytest.raises(seewhy.SeewhyError, match="is a place in the image, and this augment= moves the image"):
            seewhy.explain(net, x, target, augment="flips")


def test_a_class_that_is_nowhere_the_best_is_said(dense):
    net, x, _ = dense
    with pytest.warns(seewhy.SeewhyWarning, match="'class 2, region': in image 0 the class is nowhere the best"):
        explanation = seewhy.explain(net, x[1:2], seewhy.region(2))
    assert explanation.blank.all() and explanation.flat.all()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: seewhy.region(4), "the score maps \\(3, 4, 4, 5\\) have the classes 0 to 3 along axis 1"),
        (lambda: seewhy.region(-1), "class index -1 is out of range"),
        (lambda: seewhy.region("road"), "no class names"),
        (lambda: seewhy.region(True), "a class by index or name, got True"),
        (
            lambda: seewhy.region(0, np.ones((6, 7), bool)),
            "mask \\(6, 7\\) does not fit score maps of shape \\(4, 5\\)",
        ),
        (lambda: seewhy.region(0, np.zeros((4, 5), bool)), "mask is empty"),
        (lambda: seewhy.region(0, np.ones((4, 5))), "a bool array .*got an array of float64.*write mask > 0"),
        (lambda: seewhy.region(0, (0, 0, 6, 2)), "box .* does not lie on score maps of shape \\(4, 5\\)"),
        (lambda: seewhy.region(0, (2, 0, 2, 2)), "expected a box .* with an area, got \\[2, 0, 2, 2\\]"),
        (lambda: seewhy.region(0, (0.5, 0, 2, 2)), "whole pixels"),
    ],
)
def test_regions_say_what_is_wrong(dense, make, words):
    net, x, _ = dense
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(net, x, make())
