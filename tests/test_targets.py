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
