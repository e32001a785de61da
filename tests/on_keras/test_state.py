"""The user's model leaves as it came: also after an exception, with threads in it at once, and when it is let go."""

import gc
import threading
import weakref
from contextlib import suppress

import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_nets import CLASSES, Plain, Subclassed, act, chain, conv, functional, image, nested, tail

import seewhy
from seewhy.adapters import _keras_taps
from seewhy.errors import LayerError
from seewhy.maps import to_numpy

BACKEND = keras.config.backend()


def trainable(*more):
    """A compiled model amid its training: frozen layers, moving statistics, dropout, an optimizer's state."""
    x = image(Plain())
    y = chain(x, conv(), layers.BatchNormalization(), act(), layers.SpatialDropout2D(0.5), *more, *tail("softmax"))
    net = keras.Model(x, y)
    net.get_layer("hidden").trainable = False
    net.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    net.fit(Plain().batch(4), np.arange(4) % CLASSES, verbose=0)
    return net


def snapshot(net):
    """All that a capture must leave alone; attributes by their identity, arrays by their values."""
    parts = [net, *net._flatten_layers(include_self=False), net.optimizer]
    kept = {
        "attributes": [{key: _marker(value) for key, value in vars(part).items()} for part in parts],
        "classes": [type(part) for part in parts],
        "layers": [[id(layer) for layer in part.layers] for part in parts if isinstance(part, keras.Model)],
        "trainable": [variable.trainable for variable in net.variables],
        "values": [keras.ops.convert_to_numpy(v).tolist() for v in [*net.variables, *net.optimizer.variables]],
        "compiled": (net.compiled, id(net.optimizer), net.loss, id(net.train_function), id(net.predict_function)),
        "settings": (keras.config.floatx(), keras.config.dtype_policy().name, keras.config.image_data_format()),
    }
    if BACKEND == "torch":
        kept["modes"] = [module.training for module in net.modules()]
        kept["flags"] = [(p.requires_grad, p.grad is None) for p in net.parameters()]
    return kept


def _marker(value):
    """Collections by what they hold, since they may be changed in place; other things by their identity."""
    if isinstance(value, dict):
        return [(str(key), _marker(v)) for key, v in value.items()]
    if isinstance(value, list | tuple | set):
        return [id(v) for v in value]
    return value if isinstance(value, bool | int | float | str) else id(value)


@pytest.mark.parametrize("score", ["logit", "output"])
def test_the_model_is_as_it_was(score):
    net, x = trainable(), Plain().batch().astype("float32")
    predicted = net.predict(x, verbose=0)
    before = snapshot(net)
    for method in ("grad-cam", "ablation-cam", "shapley-cam", "score-cam", "gradient", "guided-backprop", "full-grad"):
        with suppress(LayerError):  # no ReLU to be guided at; TensorFlow has no second derivative of softsign
            seewhy.explain(net, x, seewhy.top(2), method=method, score=score)
    seewhy.layers(net, x)
    assert snapshot(net) == before
    assert not _keras_taps._wrapped
    np.testing.assert_array_equal(net.predict(x, verbose=0), predicted)
    net.fit(x, np.arange(2), verbose=0)  # and it can be trained on
    assert snapshot(net)["values"] != before["values"]
    assert snapshot(net)["attributes"][1:-1] == before["attributes"][1:-1]


class Failing(layers.Layer):
    fail = False

    def call(self, x):
        if self.fail:
            raise RuntimeError("broken on purpose")
        return x


@pytest.mark.parametrize("where", ["call", "target", "method", "layer"])
def test_the_model_is_as_it_was_also_after_an_exception(where):
    def fail(*_):
        raise RuntimeError("broken on purpose")

    failing = Failing()
    net, x = trainable(failing), Plain().batch().astype("float32")
    before = snapshot(net)
    layer = net.get_layer("head" if where == "layer" else "act")
    failing.__dict__["fail"] = where == "call"
    with pytest.raises(seewhy.SeewhyError if where == "layer" else RuntimeError, match=r"on purpose|no spatial axes"):
        seewhy.explain(net, x, fail if where == "target" else 0, layer=layer,
                       method=fail if where == "method" else "grad-cam")  # fmt: skip
    del failing.__dict__["fail"]
    assert snapshot(net) == before
    assert not _keras_taps._wrapped
    good = seewhy.explain(net, x, 0, layer="act")
    assert snapshot(net) == before
    np.testing.assert_array_equal(to_numpy(good.maps), to_numpy(seewhy.explain(net, x, 0, layer="act").maps))


def test_a_call_that_a_user_put_on_a_layer_stays():
    plain = Plain()
    net = plain.fill(functional(plain))
    layer, original = net.get_layer("act"), net.get_layer("act").call
    layer.call = patched = lambda x: original(x) * 2
    explanation = seewhy.explain(net, plain.batch().astype("float32"), 1)
    assert layer.call is patched
    A, _ = plain.truth(plain.batch(), lambda y: y[:, 1])
    doubled = seewhy.explain(
        net, plain.batch().astype("float32"), 1, method=lambda c: c.activations.sum(1)[:, None] ** 2
    )
    np.testing.assert_allclose(to_numpy(doubled.maps)[:, 0], (2 * A.sum(1)) ** 2, rtol=1e-3, atol=1e-5)
    assert explanation.layer == "act"


class Counting(layers.Layer):
    """Has a state that each call changes, and adds to the loss."""

    def build(self, shape):
        self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, x):
        self.count.assign_add(1.0)
        self.add_loss(ops.mean(x**2))
        return x


@pytest.mark.parametrize("method", ["grad-cam", "random-cam"])
def test_what_a_call_leaves_in_a_model_is_dropped(method):
    net, x = functional(Plain(), Counting(name="counting")), Plain().batch().astype("float32")
    assert seewhy.explain(net, x, 0, method=method).maps.shape == (2, 1, 4, 5)
    assert float(ops.convert_to_numpy(net.get_layer("counting").count)) == 0
    assert net.losses == []  # none that are symbols of a graph, or hold on to one
    net(x)
    assert float(ops.convert_to_numpy(net.get_layer("counting").count)) == 1
    assert len(net.losses) == 1


@pytest.mark.skipif(BACKEND != "torch", reason="only PyTorch's tensors have flags and gradients of their own")
def test_a_tensor_that_wants_a_gradient_gets_none():
    import torch

    x = torch.from_numpy(Plain().batch()).float().requires_grad_(True)
    seewhy.explain(functional(Plain()), x, 0).overlay(0)
    assert x.grad is None


@pytest.mark.skipif(BACKEND != "torch", reason="modules of PyTorch can be layers there only")
def test_torch_modules_inside_are_run_in_eval_mode_and_left_in_train_mode():
    import torch

    module = torch.nn.Sequential(torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.9))
    x = keras.Input((3, 6, 7))
    wrapped = layers.TorchModuleWrapper(module, output_shape=(None, 3, 6, 7))
    convolution = layers.Conv2D(5, 3, data_format="channels_first", name="conv")
    net = keras.Model(x, chain(x, wrapped, convolution, *tail(data_format="channels_first")))
    given = np.moveaxis(Plain().batch().astype("float32"), -1, 1)
    module.train()
    statistics = module[0].running_mean.clone()
    one, other = (seewhy.explain(net, given, 1) for _ in range(2))
    assert [part.training for part in module.modules()] == [True] * 3
    assert torch.equal(module[0].running_mean, statistics)
    assert torch.equal(one.maps, other.maps)


# ---- threads ---------------------------------------------------------------------------------------------


def test_threads_see_their_own_activations_only():
    plain = Plain()
    net = plain.fill(nested(plain))
    photos = [plain.batch(1, seed=i).astype("float32") for i in range(6)]
    asked = ["outer/inner/act", "outer/inner/conv", None, "outer"]
    twin = plain.fill(nested(plain))  # so that the threads meet a model that is not compiled yet
    expected = {(i, layer): to_numpy(seewhy.explain(twin, x, i % 4, layer=layer).maps)
                for i, x in enumerate(photos) for layer in asked}  # fmt: skip
    predicted = [net.predict(x, verbose=0) for x in photos]
    wrong, ready, done = [], threading.Event(), threading.Event()

    def explain(layer, start):
        ready.wait()
        for step in range(12):
            i = (start + step) % len(photos)
            maps = to_numpy(seewhy.explain(net, photos[i], i % 4, layer=layer).maps)
            if not np.allclose(maps, expected[i, layer], rtol=1e-4, atol=1e-6):
                wrong.append((i, layer))

    def predict(function):
        ready.wait()
        step = 0
        while not done.is_set():
            i, step = step % len(photos), step + 1
            if not np.allclose(function(photos[i]), predicted[i], rtol=1e-4, atol=1e-6):
                wrong.append((i, "prediction"))

    def guarded(work, *args):
        try:
            work(*args)
        except BaseException as error:
            wrong.append(error)

    explaining = [threading.Thread(target=guarded, args=(explain, layer, n)) for n, layer in enumerate(asked)]
    calls = [lambda x: ops.convert_to_numpy(net(x))]
    if BACKEND != "jax":  # there it takes the weights out of the model meanwhile, so that no one else can call it
        calls.append(lambda x: net.predict(x, verbose=0))
    predicting = [threading.Thread(target=guarded, args=(predict, call)) for call in calls]
    for thread in explaining + predicting:
        thread.start()
    ready.set()
    for thread in explaining:
        thread.join()
    done.set()
    for thread in predicting:
        thread.join()
    assert not wrong
    assert not _keras_taps._wrapped


def test_a_thread_that_only_predicts_is_left_alone():
    """While another thread is in the midst of explaining, in each of its passes."""
    inside, done, explaining = threading.Semaphore(0), threading.Semaphore(0), None

    class Gate(layers.Layer):
        def call(self, x):
            if threading.current_thread() is explaining:
                inside.release()
                assert done.acquire(timeout=60)
            return x

    plain, x = Plain(), Plain().batch().astype("float32")
    image_in = image(plain)
    net = plain.fill(keras.Model(image_in, chain(image_in, conv(), Gate(), act(), *tail("softmax"))))
    found = []
    explaining = threading.Thread(target=lambda: found.append(seewhy.explain(net, x, lambda y: y[:, 1] * 2)))
    expected = ops.convert_to_numpy(net(x))
    explaining.start()
    while explaining.is_alive():
        if inside.acquire(timeout=0.05):
            np.testing.assert_array_equal(ops.convert_to_numpy(net(x)), expected)
            done.release()
    explaining.join()
    np.testing.assert_allclose(
        to_numpy(found[0].maps)[:, 0], plain.maps(x, lambda y: y[:, 1] * 2), rtol=1e-3, atol=1e-5
    )


# ---- let go ----------------------------------------------------------------------------------------------


def looking(y):
    return y * 2 if ops.mean(y) > -1e9 else y  # which cannot be compiled


@pytest.mark.parametrize("kind", ["functional", "nested", "subclassed", "looking at values"])
def test_a_model_that_was_explained_is_freed(kind):
    plain, x = Plain(), Plain().batch().astype("float32")
    net = {
        "functional": functional,
        "nested": nested,
        "subclassed": lambda plain: Subclassed(),
        "looking at values": lambda plain: Subclassed(end=looking),
    }[kind](plain)
    net(x)
    explainer = seewhy.Explainer(net)
    explanation = explainer(x, lambda y: y[:, 0])
    seewhy.explain(net, x, method="random-cam")
    with pytest.raises(seewhy.SeewhyError):
        seewhy.explain(net, x, 0, layer=net.layers[-1])
    watched = [weakref.ref(part) for part in (net, *net._flatten_layers(include_self=False), *net.weights)]
    del net, explainer
    gc.collect()
    assert [ref() for ref in watched if ref() is not None] == []
    assert explanation.maps.shape == (2, 1, 4, 5)
