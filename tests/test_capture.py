"""The torch adapter: what it sees is what autograd sees, and the model leaves as it came."""

import threading
import warnings

import pytest
import torch
from torch import nn

import nets
import seewhy
from seewhy.adapters import _torch_quiet
from seewhy.types import Capture


def snapshot(net: nn.Module) -> dict[str, object]:
    """All that a capture must leave alone."""
    return {
        "modes": [m.training for m in net.modules()],
        "hooks": [(len(m._forward_hooks), len(m._forward_pre_hooks), len(m._backward_hooks)) for m in net.modules()],
        "flags": [p.requires_grad for p in net.parameters()],
        "grads": [None if p.grad is None else p.grad.clone() for p in net.parameters()],
        "values": [t.clone() for t in net.state_dict().values()],
        "grad mode": torch.is_grad_enabled(),
    }


def same(a: dict[str, object], b: dict[str, object]) -> bool:
    def equal(x, y):
        if isinstance(x, list):
            return len(x) == len(y) and all(map(equal, x, y))
        return torch.equal(x, y) if isinstance(x, torch.Tensor) else x == y

    return all(equal(a[key], b[key]) for key in a)


def reference(net, x, layer, score):
    """A and G of the whole batch by autograd alone, on a deep graph with every gradient on."""
    kept = []
    handle = layer.register_forward_hook(lambda m, a, output: kept.append(output.clone()) or kept[-1])
    with torch.enable_grad():
        y = net(x.requires_grad_(True))
        (G,) = torch.autograd.grad(score(y).sum(), kept[-1])
    handle.remove()
    x.requires_grad_(False)
    return kept[-1].detach(), G


def grad_cam(A, G):
    return (G.mean((2, 3), keepdim=True) * A).sum(1).clamp(min=0)


def test_capture_is_what_autograd_says():
    net = nets.seeded(nets.Plain())
    x = torch.randn(3, 3, 7, 8, dtype=torch.float64)
    explanation = seewhy.explain(net, x, 1, layer="features")
    A, G = reference(net, x, net.features, lambda y: y[:, 1])
    torch.testing.assert_close(explanation.maps[:, 0], grad_cam(A, G))
    torch.testing.assert_close(explanation.outputs, net(x).detach())


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam", "random-cam"])
def test_an_in_place_op_after_the_layer_does_not_spoil_the_activations(method):
    net = nets.seeded(nets.InPlace())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    negative = seewhy.explain(net, x, 0, layer="conv", method=lambda c: c.activations.amin(1, keepdim=True).neg())
    assert float(negative.maps.max()) > 0  # values from before the ReLU, negative ones among them
    mended = nets.seeded(nets.InPlace())
    mended.act = nn.ReLU()
    mended.forward = lambda x: mended.head(mended.act(mended.conv(x)).mean((2, 3)))
    one, other = (seewhy.explain(n, x, 0, layer="conv", method=method) for n in (net, mended))
    torch.testing.assert_close(one.maps, other.maps)


def test_of_a_layer_that_runs_several_times_the_last_run_is_explained():
    net = nets.seeded(nets.Recurrent())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for net.times in (3, 3, 2, 1, 4, 4):  # as often as the time before, less often, more often
        explanation = seewhy.explain(net, x, 2, layer="conv")
        with torch.no_grad():
            A = net.stem(x)
            for _ in range(net.times - 1):
                A = torch.tanh(net.conv(A))
            A = net.conv(A)
        A.requires_grad_(True)
        (G,) = torch.autograd.grad(net.head(torch.tanh(A).mean((2, 3)))[:, 2].sum(), A)
        torch.testing.assert_close(explanation.maps[:, 0], grad_cam(A.detach(), G))
        control = seewhy.explain(net, x, 2, layer="conv", method="random-cam")
        control_of_A = seewhy.catalog.get("methods", "random-cam")(
            Capture(A.detach(), None, G[:, :1, 0, 0], None, None, None)
        )
        torch.testing.assert_close(control.maps, control_of_A.clamp(min=0))


def test_only_the_last_run_of_a_shared_layer_is_recorded():
    net = nets.seeded(nets.Recurrent())
    recorded = []
    net.conv.register_forward_pre_hook(lambda m, args: recorded.append(args[0].requires_grad))
    explainer = seewhy.Explainer(net)
    explainer(torch.randn(1, 3, 6, 6, dtype=torch.float64))
    assert recorded == [False] * 6  # three runs to find the layer, three to explain
    assert {info.name: info.runs for info in seewhy.layers(net, torch.randn(1, 3, 6, 6, dtype=torch.float64))} == {
        "stem": 1,
        "conv": 3,
    }


def test_an_activation_that_runs_after_the_pooling_too():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu = nn.Conv2d(3, 4, 3), nn.ReLU()
            self.hidden, self.head = nn.Linear(4, 5), nn.Linear(5, 3)

        def forward(self, x):
            return self.head(self.relu(self.hidden(self.relu(self.conv(x)).mean((2, 3)))))

    net = nets.seeded(Shared())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    A = torch.relu(net.conv(x)).detach().requires_grad_(True)
    (G,) = torch.autograd.grad(net.head(torch.relu(net.hidden(A.mean((2, 3)))))[:, 1].sum(), A)
    for _ in range(2):
        explanation = seewhy.explain(net, x, 1)
        assert explanation.layer == "relu"
        torch.testing.assert_close(explanation.maps[:, 0], grad_cam(A.detach(), G))


@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam", "random-cam"])
def test_channels_last_layers_are_turned(method):
    class Turned(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.inner, self.turn, self.last = nets.Plain(channels=9), nn.Identity(), last

        def forward(self, x):
            A = self.inner.features(x)
            A = self.turn(A.movedim(1, -1)).movedim(-1, 1) if self.last else self.turn(A)
            return self.inner.head(torch.tanh(self.inner.hidden(self.inner.pool(A).flatten(1))))

    x = torch.randn(2, 3, 13, 22, dtype=torch.float64)
    last, first = (seewhy.explain(nets.seeded(Turned(t)), x, [[0, 2]] * 2, method=method, layer="turn") for t in (1, 0))
    torch.testing.assert_close(last.maps, first.maps)
    infos = {info.name: info.shape for info in seewhy.layers(nets.seeded(Turned(True)), x)}
    assert infos["turn"] == (9, 11, 20)


def test_a_spectrogram_pooled_along_one_axis_is_channels_first():
    net = nn.Sequential(nn.Conv2d(1, 512, 1, stride=(31, 16)), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 2))
    explanation = seewhy.explain(net, torch.rand(1, 1, 1000, 64), 0)
    assert explanation.maps.shape == (1, 1, 33, 4)  # (512, 33) would have the input's proportions too


def test_swin_is_read_the_right_way_round_and_tokens_are_refused():
    import torchvision

    net = torchvision.models.swin_t(weights=None).eval()
    explanation = seewhy.explain(net, torch.rand(1, 3, 64, 64), 5, layer="features")
    assert explanation.maps.shape == (1, 1, 2, 2)
    vit = torchvision.models.VisionTransformer(32, 8, 1, 2, 16, 32, num_classes=3).eval()
    with pytest.raises(seewhy.SeewhyError, match="sequence, such as the tokens of a transformer"):
        seewhy.explain(vit, torch.rand(1, 3, 32, 32), 1, layer="encoder.layers.encoder_layer_0")


def test_frozen_parameters():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    free = seewhy.explain(net, x, 1, layer="features")
    frozen = seewhy.explain(net.requires_grad_(False), x, 1, layer="features")
    assert torch.equal(free.maps, frozen.maps)


def test_train_mode_is_explained_in_eval_mode_and_left_in_train_mode():
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.5), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )  # fmt: skip
    net.train()
    net[1].eval()  # a frozen batch norm, as in fine-tuning
    x = torch.randn(4, 3, 6, 6)
    before = snapshot(net)
    explanation = seewhy.explain(net, x, 1)
    assert same(before, snapshot(net))
    assert torch.equal(explanation.maps, seewhy.explain(net.eval(), x, 1).maps)


@pytest.mark.parametrize("form", ["tuple", "dict", "dataclass"])
@pytest.mark.parametrize("method", ["grad-cam", "random-cam"])
def test_structured_outputs(form, method):
    net = nets.seeded(nets.Wrapped(form))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    explanation = seewhy.explain(net, x, method=method, layer="inner.features")
    bare = seewhy.explain(net.inner, x, method=method, layer="features")
    torch.testing.assert_close(explanation.maps, bare.maps)
    assert type(explanation.outputs) is type(net(x))
    logits = {"tuple": lambda o: o[0], "dict": lambda o: o["logits"], "dataclass": lambda o: o.logits}[form]
    assert not logits(explanation.outputs).requires_grad
    assert logits(explanation[1].outputs).shape == (1, 4)
    assert explanation.predictions(0)[0].index == int(logits(net(x))[0].argmax())


def test_a_callable_gets_the_outputs_as_the_model_returns_them():
    net = nets.seeded(nets.Wrapped("dict"))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    by_callable = seewhy.explain(net, x, lambda outputs: outputs["logits"][:, 3], layer="inner.features")
    torch.testing.assert_close(by_callable.maps, seewhy.explain(net, x, 3, layer="inner.features").maps)
    assert by_callable.labels == [["<lambda>"], ["<lambda>"]]


def test_several_arrays_that_could_be_the_class_scores():
    class Two(nn.Module):
        def __init__(self, names):
            super().__init__()
            self.inner, self.names = nets.Plain(), names

        def forward(self, x):
            h = self.inner.pool(self.inner.features(x)).flatten(1)
            y = self.inner(x)
            return dict(zip(self.names, (h, y), strict=True)) if self.names else (h, y)

    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    expected = seewhy.explain(nets.seeded(Two(("h", "logits"))), x, layer="inner.features")
    assert expected.targets[0][0].index == int(expected.outputs["logits"][0].argmax())
    with pytest.warns(seewhy.SeewhyWarning, match="several arrays"):
        explanation = seewhy.explain(nets.seeded(Two(())), x, lambda y: y[1].amax(1), layer="inner.features")
    torch.testing.assert_close(explanation.maps, expected.maps)


def test_several_inputs_as_tuple_or_dict():
    net = nets.seeded(nets.TwoInputs())
    image, numbers = torch.randn(2, 3, 6, 6, dtype=torch.float64), torch.randn(2, 2, dtype=torch.float64)
    by_tuple = seewhy.explain(net, (image, numbers), 1)
    by_dict = seewhy.explain(net, {"image": image, "numbers": numbers}, 1)
    assert by_tuple.layer == "image.features"
    assert torch.equal(by_tuple.maps, by_dict.maps)
    A, G = reference(net.image, image, net.image.features, lambda y: y[:, 1])
    torch.testing.assert_close(by_tuple.maps[:, 0], grad_cam(A, G))
    assert by_tuple.heatmap(0, 0).shape == (6, 6)


def test_data_parallel_is_opened():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(2, 3, 6, 6)
    expected = seewhy.explain(net, x, 1).maps
    assert torch.equal(seewhy.explain(nn.DataParallel(net), x, 1).maps, expected)
    for layer in (net.features, "features", "module.features"):
        assert torch.equal(seewhy.explain(nn.DataParallel(net), x, 1, layer=layer).maps, expected)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_compiled_models_are_run_eagerly():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(2, 3, 6, 6)
    expected = seewhy.explain(net, x, 1).maps
    compiled = torch.compile(net, backend="eager")
    compiled(x)  # the graph exists, without any hook in it
    assert torch.equal(seewhy.explain(compiled, x, 1).maps, expected)
    net.features = torch.compile(net.features, backend="eager")
    net(x)
    assert torch.equal(seewhy.explain(net, x, 1, layer=net.features._orig_mod[1]).maps, expected)
    in_place = nets.seeded(nets.Plain(), dtype=torch.float32)
    in_place.compile(backend="eager")
    in_place(x)
    assert torch.equal(seewhy.explain(in_place, x, 1).maps, expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_parameters_and_maps_in_float32(dtype):
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(2, 3, 6, 6)
    full = seewhy.explain(net, x, seewhy.top(2))
    half = seewhy.explain(net.to(dtype), x, [[t.index for t in row] for row in full.targets])
    assert half.maps.dtype == half.scores.dtype == torch.float32
    torch.testing.assert_close(half.maps, full.maps, rtol=0.1, atol=0.05 * float(full.maps.max()))


def test_autocast():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    x = torch.randn(2, 3, 6, 6)
    full = seewhy.explain(net, x, 1)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = seewhy.explain(net, x, 1)
    assert mixed.maps.dtype == torch.float32
    assert mixed.outputs.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.maps, full.maps, rtol=0.1, atol=0.05 * float(full.maps.max()))


def test_within_no_grad_and_inference_mode():
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    expected = seewhy.explain(net, torch.ones(1, 3, 6, 6), 1).maps
    with torch.no_grad():
        assert torch.equal(seewhy.explain(net, torch.ones(1, 3, 6, 6), 1).maps, expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        inside = seewhy.explain(net, torch.ones(1, 3, 6, 6), 1)
        assert torch.is_inference_mode_enabled()
    assert torch.equal(inside.maps, expected)


def test_a_model_that_runs_its_backbone_under_no_grad():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nets.Plain()

        def forward(self, x):
            with torch.no_grad():
                features = self.inner.features(x)
            return self.inner.head(torch.tanh(self.inner.hidden(self.inner.pool(features).flatten(1))))

    net = nets.seeded(Frozen())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    explanation = seewhy.explain(net, x, 1, layer="inner.features")
    torch.testing.assert_close(explanation.maps, seewhy.explain(net.inner, x, 1, layer="features").maps)


FEW = {"rise": {"masks": 20}, "smooth-grad": {"samples": 3}, "integrated-gradients": {"steps": 3}}


@pytest.mark.parametrize("method", seewhy.methods())
def test_a_batch_of_n_equals_n_singles(method):
    net = nets.seeded(nets.GapLinear())  # CAM needs it, and guided gradients a ReLU
    x = torch.randn(3, 3, 7, 6, dtype=torch.float64)
    explainer = seewhy.Explainer(net, method, **FEW.get(method, {}))
    whole = explainer(x, seewhy.top(3))
    for i in range(3):
        single = explainer(x[i : i + 1], seewhy.top(3))
        torch.testing.assert_close(whole.maps[i], single.maps[0], rtol=1e-9, atol=1e-12)
        assert whole.labels[i] == single.labels[0]


def test_k_targets_in_one_call_equal_k_calls():
    net = nets.seeded(nets.Plain())
    x = torch.randn(2, 3, 7, 6, dtype=torch.float64)
    together = seewhy.explain(net, x, [[0, 1, 2, 3]] * 2)
    for c in range(4):
        torch.testing.assert_close(together.maps[:, c], seewhy.explain(net, x, c).maps[:, 0])


def test_targets_whose_backward_cannot_be_batched():
    class Stubborn(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, gradient):
            return torch.from_numpy(gradient.numpy() * 2)  # NumPy knows no batched gradients

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nets.Plain()

        def forward(self, x):
            return Stubborn.apply(self.inner(x))

    net = nets.seeded(Net())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    explanation = seewhy.explain(net, x, [[0, 1]] * 2, layer="inner.features")
    torch.testing.assert_close(explanation.maps, 2 * seewhy.explain(net.inner, x, [[0, 1]] * 2, layer="features").maps)


def test_threads_see_their_own_activations_only():
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 4), nn.Softmax(dim=1),
    ).train()  # fmt: skip
    explainer = seewhy.Explainer(net, layer="3")
    photos = [torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(i)) for i in range(8)]
    before = snapshot(net)
    expected = [explainer(x, i % 4) for i, x in enumerate(photos)]
    wrong, barrier = [], threading.Barrier(4)

    def work(start):
        barrier.wait()
        for step in range(60):
            i = (start + step) % len(photos)
            got = explainer(photos[i], i % 4)
            if not (torch.allclose(got.maps, expected[i].maps) and torch.allclose(got.scores, expected[i].scores)):
                wrong.append(i)

    threads = [threading.Thread(target=work, args=(2 * t,)) for t in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert same(before, snapshot(net))


@pytest.mark.parametrize("where", ["forward", "target", "method"])
@pytest.mark.parametrize("training", [True, False])
def test_the_model_is_as_it_was_also_after_an_exception(where, training):
    class Failing(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner, self.fail = nets.Plain(), False

        def forward(self, x):
            y = self.inner(x)
            if self.fail:
                raise RuntimeError("broken on purpose")
            return y

    def fail(*_):
        raise RuntimeError("broken on purpose")

    net = nets.seeded(Failing()).train(training)
    net.inner.head.weight.grad = torch.ones_like(net.inner.head.weight)
    explainer = seewhy.Explainer(net, fail if where == "method" else "grad-cam", layer="inner.features")
    net.fail = where == "forward"
    before = snapshot(net)
    with pytest.raises(RuntimeError, match="on purpose"):
        explainer(torch.randn(1, 3, 6, 6, dtype=torch.float64), fail if where == "target" else 0)
    assert same(before, snapshot(net))
    assert not _torch_quiet._held
    net.fail = False
    good = seewhy.explain(net, torch.randn(1, 3, 6, 6, dtype=torch.float64), 0, layer="inner.features")
    assert same(before, snapshot(net))
    assert torch.isfinite(good.maps).all()


def test_two_models_that_share_a_backbone():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    class Net(nn.Module):
        def __init__(self, wait):
            super().__init__()
            self.backbone, self.head, self.wait = backbone, nn.Linear(4, 2), wait

        def forward(self, x):
            self.wait()
            modes.append(any(m.training for m in self.backbone))
            return self.head(self.backbone(x).mean((2, 3)))

    modes, inside, done = [], threading.Event(), threading.Event()
    slow = Net(lambda: (inside.set(), done.wait(20))).train()
    quick = Net(lambda: None).train()
    thread = threading.Thread(target=lambda: seewhy.explain(slow, torch.rand(1, 3, 6, 6), 0, layer="backbone"))
    thread.start()
    inside.wait(20)
    seewhy.explain(quick, torch.rand(1, 3, 6, 6), 0, layer="backbone")
    done.set()
    thread.join()
    assert modes == [False, False]
    assert all(m.training for net in (slow, quick) for m in net.modules())


def test_users_own_hooks_still_run_and_see_the_forward_pass():
    net = nets.seeded(nets.Plain())
    seen = []
    handle = net.features.register_forward_hook(lambda m, a, output: seen.append(tuple(output.shape)))
    seewhy.explain(net, torch.randn(1, 3, 6, 6, dtype=torch.float64), 0, layer="features")
    assert seen == [(1, 3, 4, 4)]
    handle.remove()


def test_a_method_without_gradients_pays_for_no_backward():
    net = nets.seeded(nets.Plain())
    gradients = []
    net.hidden.register_full_backward_hook(lambda *_: gradients.append(1))
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    seewhy.explain(net, x, 0, layer="features", method="random-cam")
    assert not gradients
    seewhy.explain(net, x, 0, layer="features", method="grad-cam")
    assert gradients


def test_the_prefix_is_run_without_a_graph_and_once():
    net = nets.seeded(nets.Plain())
    runs = []
    net.features[0].register_forward_hook(lambda m, a, output: runs.append(output.requires_grad))
    explainer = seewhy.Explainer(net, layer="features")
    explainer(torch.randn(1, 3, 6, 6, dtype=torch.float64), seewhy.top(3))
    assert runs == [False]


# ---- what score= means -----------------------------------------------------------------------------------

HEADS = {
    "Softmax": "softmax",
    "softmax": "softmax",
    "F.softmax": "softmax",
    "method": "softmax",
    "LogSoftmax": "log-softmax",
    "log_softmax": "log-softmax",
    "Sigmoid": "sigmoid",
    "sigmoid": "sigmoid",
}


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("method", ["grad-cam", "random-cam"])
def test_a_final_softmax_or_sigmoid_is_looked_through(kind, method):
    net = nets.seeded(nets.Head(kind))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    for _ in range(2):  # the second call knows already
        explanation = seewhy.explain(net, x, 1, layer="inner.features", method=method)
        bare = seewhy.explain(net.inner, x, 1, layer="features", method=method)
        torch.testing.assert_close(explanation.maps, bare.maps)
        torch.testing.assert_close(explanation.scores, net.inner(x)[:, 1:2].detach())
        torch.testing.assert_close(explanation.outputs, net(x).detach())
    y = net.inner(x).detach()
    expected = torch.sigmoid(y) if HEADS[kind] == "sigmoid" else torch.softmax(y, 1)
    torch.testing.assert_close(torch.from_numpy(explanation.probabilities), expected.float())


@pytest.mark.parametrize("kind", HEADS)
def test_score_output_explains_what_the_model_returns(kind):
    net = nets.seeded(nets.Head(kind))
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    explanation = seewhy.explain(net, x, 1, layer="inner.features", score="output")
    A, G = reference(net, x, net.inner.features, lambda y: y[:, 1])
    torch.testing.assert_close(explanation.maps[:, 0], grad_cam(A, G))
    torch.testing.assert_close(explanation.scores, net(x)[:, 1:2].detach())


def test_a_saturated_softmax_has_no_gradient_but_its_logit_has():
    net = nets.seeded(nets.Head("softmax"))
    with torch.no_grad():
        net.inner.head.weight.mul_(1e4)
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    best = int(net(x).argmax())
    negative = seewhy.explain(net, x, seewhy.negative(best), layer="inner.features")
    assert float(seewhy.explain(net, x, best, layer="inner.features").maps.max() + negative.maps.max()) > 0
    assert float(seewhy.explain(net, x, best, layer="inner.features", score="output").maps.max()) == 0


def test_probabilities_of_an_unseen_softmax_are_said():
    class Hidden(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nets.Plain()

        def forward(self, x):
            e = self.inner(x).exp()
            return e / e.sum(1, keepdim=True)

    net = nets.seeded(Hidden())
    x = torch.randn(1, 3, 6, 6, dtype=torch.float64)
    explainer = seewhy.Explainer(net)
    with pytest.warns(seewhy.SeewhyWarning, match="look like probabilities"):
        explainer(x, 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explainer(x, 0)  # said once for each explainer
        seewhy.explain(net, x, 0, score="output")


def test_a_softmax_inside_the_model_is_no_final_one():
    class Attention(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = nets.Plain()

        def forward(self, x):
            y = self.inner(x)
            return y * torch.softmax(y, 1)

    net = nets.seeded(Attention())
    x = torch.randn(2, 3, 6, 6, dtype=torch.float64)
    A, G = reference(net, x, net.inner.features, lambda y: y[:, 1])
    torch.testing.assert_close(seewhy.explain(net, x, 1).maps[:, 0], grad_cam(A, G))


# ---- what cannot be explained ----------------------------------------------------------------------------


class Side(nn.Module):
    """A layer that never runs, one with no axes, one that does not reach the score."""

    def __init__(self):
        super().__init__()
        self.inner, self.unused, self.aside = nets.Plain(), nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)

    def forward(self, x):
        self.aside(x)
        return self.inner(x)


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("unused", "did not run"),
        ("inner.head", "no spatial axes"),
        ("aside", "does not depend on the layer"),
        ("inner.featurs", "did you mean 'inner.features'"),
        (nn.Conv2d(1, 1, 1), "not part of this model"),
        (3, "expected a layer as its name"),
    ],
)
def test_layers_that_cannot_be_explained(layer, words):
    net = nets.seeded(Side())
    before = snapshot(net)
    with pytest.raises(seewhy.SeewhyError, match=words):
        seewhy.explain(net, torch.randn(1, 3, 6, 6, dtype=torch.float64), 0, layer=layer)
    assert same(before, snapshot(net))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_script_module_is_sent_to_load():
    script = torch.jit.trace(nets.seeded(nets.Plain(), dtype=torch.float32), torch.rand(1, 3, 6, 6))
    with pytest.raises(seewhy.SeewhyError, match=r"load it with seewhy\.load"):
        seewhy.explain(script, torch.rand(1, 3, 6, 6))


def test_nan_and_infinite_outputs_name_the_images():
    net = nets.seeded(nets.Plain())
    x = torch.randn(3, 3, 6, 6, dtype=torch.float64)
    x[1] = torch.nan
    with pytest.raises(seewhy.SeewhyError, match=r"NaN or infinite class scores for image \[1\] of the batch of 3"):
        seewhy.explain(net, x, 0, layer="features")


def test_a_target_that_divides_by_zero():
    net = nets.seeded(nets.Plain())
    with pytest.raises(seewhy.SeewhyError, match="NaN or infinite"):
        seewhy.explain(net, torch.randn(1, 3, 6, 6, dtype=torch.float64), lambda y: y[:, 0] / (y[:, 0] * 0))


def test_an_image_without_its_batch_axis():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(1), nn.Flatten(0))
    with pytest.raises(seewhy.SeewhyError, match=r"image\[None\]"):
        seewhy.explain(net, torch.rand(3, 8, 8), lambda y: y[:3], layer="0")


def test_outputs_without_a_class_vector():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    x = torch.rand(2, 3, 8, 8)
    with pytest.raises(seewhy.SeewhyError, match="pass target=CALLABLE"):
        seewhy.explain(net, x, layer="1")
    with pytest.raises(seewhy.SeewhyError, match=r"one score for each class.*\(2, 2, 4, 4\)"):
        seewhy.explain(net, x, 1, layer="1")
    region = seewhy.explain(net, x, lambda y: y[:, 1].mean((1, 2)), layer="1")
    assert region.maps.shape == (2, 1, 6, 6)
    assert region.predictions(0) == []


# ---- ready batches ---------------------------------------------------------------------------------------

RAW = seewhy.Preprocess(size=(8, 8), resize=None, mean=(0,) * 3, std=(1,) * 3, scale=1)


@pytest.mark.parametrize(
    "preprocess, low, high, strange",
    [
        (seewhy.Preprocess(), 0, 255, True),  # pixels for a model that wants them normalised
        (seewhy.Preprocess(), -2.1, 2.6, False),
        (seewhy.Preprocess(), 0, 1, False),  # a dim photo looks so too
        (RAW, 0, 1, True),  # scaled pixels for a model that wants them raw
        (RAW, 0, 255, False),
        (RAW, 90, 130, False),
        (RAW, 7, 7, False),  # one plain colour
    ],
)
def test_a_ready_batch_of_another_range_is_told_of_once(preprocess, low, high, strange, recwarn):
    net = nets.seeded(nets.Plain(), dtype=torch.float32)
    batch = torch.linspace(low, high, 3 * 64).reshape(1, 3, 8, 8)
    explainer = seewhy.Explainer(net, layer="features", preprocess=preprocess)
    explainer(batch)
    explainer(batch)
    said = [str(w.message) for w in recwarn if "photos prepared for this model lie between" in str(w.message)]
    assert len(said) == strange
    assert not strange or f"from {low} to {high}" in said[0]
