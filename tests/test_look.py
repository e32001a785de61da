"""Images that were shown once: other classes and methods are what they would be, and cost no further forward pass."""

import gc
import threading
import weakref

import pytest
import torch
from torch import nn

import nets
import seewhy
from seewhy import catalog
from seewhy.look import Look
from test_capture import same, snapshot


class Counted:
    """How often the first layer of a net ran."""

    def __init__(self, net: nn.Module) -> None:
        self.passes = 0
        first = next(module for module in net.modules() if isinstance(module, nn.Conv2d))
        first.register_forward_hook(self.count)

    def count(self, *_: object) -> None:
        self.passes += 1


def looked(net: nn.Module, x: torch.Tensor, layer: str = "features", **options) -> tuple[Look, Counted]:
    return Look(seewhy.Explainer(net, layer=layer, **options), x), Counted(net)


ONE_PASS = [
    name for name in catalog.names("methods")
    if catalog.about(name).cost == "one pass" and not catalog.about(name).at_input and not catalog.about(name).guided
]  # fmt: skip


def test_other_classes_and_methods_are_what_they_would_be_for_no_further_pass():
    net, x = nets.seeded(nets.Plain()), torch.randn(2, 3, 7, 8, dtype=torch.float64)
    look, counted = looked(net, x)
    kept = {(name, c): look.explain(c, name) for name in ONE_PASS for c in range(4) if name != "cam"}
    assert counted.passes == 1 and len(kept) >= 40
    for (name, c), found in kept.items():
        alone = seewhy.explain(net, x, c, method=name, layer="features")
        torch.testing.assert_close(found.maps, alone.maps, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(found.scores, alone.scores)
        torch.testing.assert_close(found.outputs, alone.outputs)
        assert (found.labels, found.layer, found.method) == (alone.labels, alone.layer, alone.method)


def test_several_classes_and_methods_at_once_and_targets_of_every_kind():
    net, x = nets.seeded(nets.Plain()), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    look, counted = looked(net, x)
    targets = [seewhy.top(3), [0, 1], seewhy.negative(2), seewhy.class_difference(1, 3), lambda y: y[:, 0] ** 2, None]
    found = [look.compare(target, ["grad-cam", "layer-cam"]) for target in targets]
    assert counted.passes == 1
    for target, pair in zip(targets, found, strict=True):
        for name, one in zip(["grad-cam", "layer-cam"], pair, strict=True):
            alone = seewhy.explain(net, x, target, method=name, layer="features")
            torch.testing.assert_close(one.maps, alone.maps)


def test_another_layer_and_the_input_cost_one_pass_each_and_the_oldest_makes_room():
    net, x = nets.seeded(nets.Plain()), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    look, counted = looked(net, x)
    look.explain(0)
    look.explain(0, layer="features.0")
    look.explain(1, layer="features.0")
    look.explain(1)
    assert counted.passes == 2
    gradient = look.explain(1, "gradient")
    torch.testing.assert_close(gradient.maps, seewhy.explain(net, x, 1, method="gradient").maps)
    counted.passes = 0
    look.explain(2, "input-x-gradient")
    look.explain(2)
    assert counted.passes == 0
    look.explain(2, layer="features.0")  # two were looked at since
    assert counted.passes == 1


def test_passes_are_dropped_with_the_look():
    net, x = nets.seeded(nets.Plain()), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    leaves = []
    net.hidden.register_forward_hook(lambda module, args, output: leaves.append(weakref.ref(output)))
    look = Look(seewhy.Explainer(net, layer="features"), x, most=1)
    look.explain(0)
    gc.collect()
    assert leaves[0]() is None or leaves[0]().grad_fn is not None
    kept = next(iter(look._passes._kept.values()))
    alive = weakref.ref(kept)
    del kept
    look.explain(0, layer="features.0")
    gc.collect()
    assert alive() is None
    alive = weakref.ref(next(iter(look._passes._kept.values())))
    del look
    gc.collect()
    assert alive() is None


def test_a_wrong_class_costs_nothing_and_leaves_the_look_as_it_was():
    net, x = nets.seeded(nets.Plain()), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    look, counted = looked(net, x, labels=["cat", "dog", "cup", "car"])
    before = look.explain("cat")
    with pytest.raises(seewhy.errors.UnknownNameError, match="'dog'"):
        look.explain("doge")
    with pytest.raises(seewhy.errors.TargetError):
        look.explain(4)
    assert torch.equal(look.explain("cat").maps, before.maps) and counted.passes == 1


def test_a_method_without_gradients_on_a_model_that_has_none():
    class Counts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x):
            return (self.conv(x) > 0).flatten(2).sum(2).float()

    net, x = Counts(), torch.randn(1, 3, 7, 8)
    look, counted = looked(net, x, "conv")
    torch.testing.assert_close(
        look.explain(0, "eigen-cam").maps, seewhy.explain(net, x, 0, method="eigen-cam", layer="conv").maps
    )
    counted.passes = 0
    look.explain(1, "eigen-cam")
    look.explain(1, "random-cam")
    assert counted.passes == 0
    with pytest.raises(seewhy.errors.LayerError):
        look.explain(1, "grad-cam")


@pytest.mark.parametrize("name", ["guided-grad-cam", "guided-backprop", "ablation-cam", "score-cam", "recipro-cam"])
def test_methods_that_make_passes_of_their_own(name):
    net, x = nets.seeded(nets.InPlace()), torch.randn(2, 3, 7, 8, dtype=torch.float64)
    look = Look(seewhy.Explainer(net, layer="conv"), x)
    for target in (1, 0):
        found = look.explain(target, name)
        layer = {} if catalog.about(name).at_input else {"layer": "conv"}
        torch.testing.assert_close(found.maps, seewhy.explain(net, x, target, method=name, **layer).maps)


def test_the_model_is_left_as_it_came():
    net, x = nets.seeded(nets.Plain()).train(), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    before = snapshot(net)
    look = Look(seewhy.Explainer(net, layer="features"), x)
    look.explain(0)
    assert same(before, snapshot(net))
    look.explain(1, "layer-cam")
    assert same(before, snapshot(net))


def test_threads_take_turns():
    net, x = nets.seeded(nets.Plain()), torch.randn(1, 3, 7, 8, dtype=torch.float64)
    look, counted = looked(net, x)
    found: dict[int, torch.Tensor] = {}

    def ask(c: int) -> None:
        for _ in range(10):
            found[c] = look.explain(c).maps

    threads = [threading.Thread(target=ask, args=(c,)) for c in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counted.passes == 1
    for c in range(4):
        torch.testing.assert_close(found[c], seewhy.explain(net, x, c, layer="features").maps)


def test_the_embedded_model_on_a_photo(lite0, coffee):
    look = Look(seewhy.Explainer(lite0), coffee)
    first = look.explain()
    counted = Counted(lite0.net)
    cup, difference = look.explain("cup"), look.explain(seewhy.class_difference("espresso", "cup"), "layer-cam")
    assert counted.passes == 0
    assert first.labels == [["espresso"]] and cup.labels == [["cup"]]
    alone = seewhy.explain(lite0, coffee, "cup")
    torch.testing.assert_close(cup.maps, alone.maps, rtol=1e-4, atol=1e-6)
    assert cup.describe() == alone.describe() and difference.method == "layer-cam"


@pytest.mark.parametrize("options", [{"augment": "flips"}, {"layer": "all", "fuse": "max"}])
def test_what_no_look_can_take(options):
    with pytest.raises(seewhy.errors.InputError, match="a look takes images as they are"):
        Look(seewhy.Explainer(nets.seeded(nets.Plain()), **options), torch.randn(1, 3, 7, 8, dtype=torch.float64))
