"""What score= means: a final softmax or sigmoid is looked through, or explained as part of the model."""

import warnings
from functools import cache

import keras
import numpy as np
import pytest
import torch
from keras import layers, ops
from keras_nets import CLASSES, Plain, Subclassed, act, chain, conv, functional, image, tail, with_outputs

import seewhy
from seewhy.maps import to_numpy

pytestmark = pytest.mark.usefixtures("double")

BACKEND = keras.config.backend()
ACTIVATIONS = {
    "softmax": lambda y: torch.softmax(y, 1),
    "sigmoid": torch.sigmoid,
    "log_softmax": lambda y: torch.log_softmax(y, 1),
}


def native(y, name):
    """The backend's own function, as people call it in their own code."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return getattr(tf.nn, name)(y)
    if BACKEND == "jax":
        import jax

        return getattr(jax.nn, name)(y)
    return getattr(torch, name)(y, dim=-1) if "softmax" in name else getattr(torch, name)(y)


def dense(plain, name):
    x = image(plain)
    return keras.Model(x, chain(x, conv(), act(), *tail(name)))


def in_call(plain, function):
    net = Subclassed(end=function)
    net(plain.batch())
    return net


FORMS = {
    "Dense": dense,
    "Activation": lambda plain, name: functional(plain, layers.Activation(name)),
    "ops": lambda plain, name: functional(plain, getattr(ops, name)),
    "ops in call": lambda plain, name: in_call(plain, getattr(ops, name)),
    "native": lambda plain, name: in_call(plain, lambda y: native(y, name)),
    "Layer": lambda plain, name: functional(plain, layers.Softmax()),
}
CASES = [
    *(("Dense", name) for name in ACTIVATIONS),
    *(("native", name) for name in ACTIVATIONS),
    ("Activation", "softmax"),
    ("Layer", "softmax"),
    ("ops", "sigmoid"),
    ("ops in call", "softmax"),
    ("ops in call", "log_softmax"),
]


@cache
def built(form, name):
    plain = Plain()
    return plain, plain.fill(FORMS[form](plain, name))


def close(explanation, plain, x, score):
    np.testing.assert_allclose(to_numpy(explanation.maps)[:, 0], plain.maps(x, score), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(to_numpy(explanation.scores)[:, 0], score(plain.tail(plain.features(x))), rtol=1e-5)


@pytest.mark.parametrize(("form", "name"), CASES)
def test_a_final_softmax_or_sigmoid_is_looked_through(form, name):
    plain, net = built(form, name)
    x = plain.batch()
    for _ in range(2):  # the second call knows already
        explanation = seewhy.explain(net, x, 1, layer="act")
        close(explanation, plain, x, lambda y: y[:, 1])
        y = torch.from_numpy(plain.logits(x))
        np.testing.assert_allclose(to_numpy(explanation.outputs), ACTIVATIONS[name](y), rtol=1e-5)
        expected = torch.sigmoid(y) if name == "sigmoid" else torch.softmax(y, 1)
        np.testing.assert_allclose(explanation.probabilities, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_score_output_explains_what_the_model_returns(name):
    plain, net = built("Dense", name)
    x = plain.batch()
    explanation = seewhy.explain(net, x, 1, layer="act", score="output")
    close(explanation, plain, x, lambda y: ACTIVATIONS[name](y)[:, 1])


def test_a_method_without_gradients_scores_logits_too():
    plain, net = built("Dense", "softmax")
    x = plain.batch()
    explanation = seewhy.explain(net, x, 1, layer="act", method="random-cam")
    np.testing.assert_allclose(to_numpy(explanation.scores)[:, 0], plain.logits(x)[:, 1], rtol=1e-5)


def test_the_class_scores_among_several_outputs():
    plain = Plain()
    net = with_outputs(plain, dict)
    net = plain.fill(keras.Model(net.input, net.output | {"logits": layers.Softmax()(net.output["logits"])}))
    explanation = seewhy.explain(net, plain.batch(), 1, layer="act")
    close(explanation, plain, plain.batch(), lambda y: y[:, 1])
    np.testing.assert_allclose(to_numpy(explanation.outputs["logits"]).sum(1), 1, rtol=1e-5)


def test_a_head_within_a_nested_model():
    plain = Plain()
    net = plain.fill(keras.Sequential([image(plain), dense(plain, "softmax")]))
    close(seewhy.explain(net, plain.batch(), 1), plain, plain.batch(), lambda y: y[:, 1])


def test_a_saturated_softmax_has_no_gradient_but_its_logit_has():
    plain = Plain()
    plain.arrays["head"][0] *= 1e4
    net, x = plain.fill(dense(plain, "softmax")), plain.batch(1)
    best = int(plain.logits(x).argmax())
    both = [seewhy.explain(net, x, target).maps for target in (best, seewhy.negative(best))]
    assert max(float(maps.max()) for maps in both) > 1
    flat = seewhy.explain(net, x, best, score="output")
    assert float(flat.maps.max()) == 0
    assert flat.blank.all()
    assert flat.flat.all()


def test_probabilities_of_an_unseen_softmax_are_said():
    def hidden(y):
        e = ops.exp(y)
        return e / ops.sum(e, axis=1, keepdims=True)

    plain = Plain()
    net = plain.fill(functional(plain, layers.Lambda(hidden)))
    explainer = seewhy.Explainer(net)
    with pytest.warns(seewhy.SeewhyWarning, match="look like probabilities"):
        explainer(plain.batch(), 0)
    with warnings.catch_warnings():
        warnings.simplefilter("error", seewhy.SeewhyWarning)
        explainer(plain.batch(), 0)  # said once for each explainer
        explanation = seewhy.explain(net, plain.batch(), 1, score="output")
    close(explanation, plain, plain.batch(), lambda y: torch.softmax(y, 1)[:, 1])


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_one_inside_the_model_is_no_final_one(name):
    plain = Plain()
    net = plain.fill(functional(plain, layers.Lambda(lambda y: y * getattr(ops, name)(y))))
    explanation = seewhy.explain(net, plain.batch(), 1, layer="act")
    close(explanation, plain, plain.batch(), lambda y: (y * ACTIVATIONS[name](y))[:, 1])


def test_an_activation_that_is_no_final_softmax_stays():
    plain = Plain()
    net = plain.fill(functional(plain, layers.Activation("softplus")))
    explanation = seewhy.explain(net, plain.batch(), 1, layer="act")
    close(explanation, plain, plain.batch(), lambda y: torch.nn.functional.softplus(y)[:, 1])


def test_one_score_out_of_a_sigmoid():
    """Cat or dog, as a binary classifier says it."""
    plain = Plain()
    x = image(plain)
    net = plain.fill(keras.Model(x, chain(x, conv(), act(), *tail(), layers.Dense(1, "sigmoid", name="one"))))
    net.get_layer("one").set_weights([np.eye(CLASSES)[:, 1:2], np.zeros(1)])
    explanation = seewhy.explain(net, plain.batch(), labels=["dog"])
    close(explanation, plain, plain.batch(), lambda y: y[:, 1])
    expected = 1 / (1 + np.exp(-plain.logits(plain.batch())[:, 1:2]))
    np.testing.assert_allclose(explanation.probabilities, expected, rtol=1e-5)
