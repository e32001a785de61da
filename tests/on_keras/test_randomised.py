"""A copy of a Keras model whose weights are drawn anew from the top down."""

import keras
import numpy as np
import pytest
from keras_nets import FORMS, Plain, composite, functional, normalised

import seewhy
from seewhy.adapters import keras as adapter
from seewhy.adapters._keras_layers import named_layers


def arrays(net):
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in net.weights]


def outputs(net, x):
    found = net(x)
    parts = found.values() if isinstance(found, dict) else found if isinstance(found, list) else [found]
    return [np.array(keras.ops.convert_to_numpy(keras.ops.stop_gradient(part))) for part in parts]


@pytest.mark.parametrize("form", ["functional", "sequential", "nested", "operations", "fused", "normalised"])
def test_a_copy_is_the_same_until_it_is_shuffled(form):
    net, x = FORMS[form][0](Plain()), Plain().batch().astype("float32")
    before = arrays(net)
    copy, whole = adapter.randomised(net, 0, 0), adapter.randomised(net, 1, 0)
    assert list(named_layers(copy)) == list(named_layers(net)) == list(named_layers(whole))
    for a, b in zip(outputs(net, x), outputs(copy, x), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.allclose(outputs(net, x)[0], outputs(whole, x)[0])
    for a, now, drawn in zip(before, arrays(net), arrays(whole), strict=True):
        np.testing.assert_array_equal(a, now)  # the user's model is not touched
        np.testing.assert_array_equal(np.sort(a.ravel()), np.sort(drawn.ravel()))
    assert not {id(v) for v in net.weights} & {id(v) for v in whole.weights}


def test_layers_are_shuffled_from_the_top_down():
    net = Plain().fill(functional(Plain()))
    for share, names in ((1 / 3, ["head"]), (0.5, ["hidden", "head"]), (1, ["conv", "hidden", "head"])):
        copy = adapter.randomised(net, share, 0)
        paths = [v.path for v, a, b in zip(net.weights, arrays(net), arrays(copy), strict=True) if (a != b).any()]
        assert sorted({path.split("/")[-2] for path in paths}) == sorted(names)
    again = adapter.randomised(net, 1, 0)
    assert all((a == b).all() for a, b in zip(arrays(copy), arrays(again), strict=True))


def test_statistics_of_norms_go_with_their_layer():
    net = normalised(Plain())
    norm = net.get_layer("norm")
    norm.set_weights([np.arange(5.0) + place for place in range(1, 5)])
    copy = adapter.randomised(net, 1, 0).get_layer("norm")
    for a, b in zip(norm.get_weights(), copy.get_weights(), strict=True):
        assert (a != b).any()
        np.testing.assert_array_equal(np.sort(a), np.sort(b))


class Own(keras.Model):
    """A class that is registered nowhere."""

    def __init__(self, **options):
        super().__init__(**options)
        self.conv, self.head = keras.layers.Conv2D(4, 3), keras.layers.Dense(3)

    def call(self, x):
        return self.head(keras.ops.mean(self.conv(x), axis=(1, 2)))


def test_subclassed_models_are_saved_and_loaded_in_memory():
    net, x = Own(), Plain().batch().astype("float32")
    net(x)
    copy = adapter.randomised(net, 0, 0)
    np.testing.assert_array_equal(outputs(net, x)[0], outputs(copy, x)[0])
    assert not np.allclose(outputs(net, x)[0], outputs(adapter.randomised(net, 1, 0), x)[0])


def test_what_cannot_be_copied_is_named():
    class Closed(keras.Model):
        def __init__(self, part):
            super().__init__()
            self.part = part  # of which no config tells

        def call(self, x):
            return keras.ops.mean(self.part(x), axis=(1, 2))

    net = Closed(keras.layers.Conv2D(4, 3))
    net(Plain().batch().astype("float32"))
    for closed in (net, composite(Plain())):
        with pytest.raises(seewhy.SeewhyError, match=r"cannot be copied.*need get_config.*Keras says: "):
            adapter.randomised(closed, 1, 0)


def test_check_runs_on_every_backend():
    rng = np.random.default_rng(0)
    net = keras.Sequential([
        keras.Input((16, 16, 3)), keras.layers.Conv2D(6, 3, activation="relu", name="first"), keras.layers.Conv2D(6, 3),
        keras.layers.ReLU(), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(4, "softmax"),
    ])  # fmt: skip
    net.set_weights([rng.normal(size=w.shape) / 4 for w in net.get_weights()])
    photo = rng.uniform(0, 1, (1, 16, 16, 3)).astype("float32")
    before = arrays(net)
    found = seewhy.check(net, photo)
    assert all((a == b).all() for a, b in zip(before, arrays(net), strict=True))
    assert found.explanation.layer.startswith("re_lu") and found["noise"].value > 0.5
    assert abs(found["randomisation"].value) < 1 and found["saturation"].verdict == "passed"

    def first_channel(capture):
        return capture.activations[:, :1]  # what a layer sees, whatever the class

    assert seewhy.check(net, photo, 1, method=first_channel, layer="first")["noise"].value > 0.9
