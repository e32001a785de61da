"""A SavedModel that explains: what it returns is what seewhy returns, and TensorFlow alone runs it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_nets import FORMS, Plain, channels_first, functional, operations, with_numbers
from keras_nets import image as image_input

import seewhy
from seewhy.errors import InputError, LayerError, ModelError, SaveError

pytestmark = pytest.mark.skipif(keras.config.backend() != "tensorflow", reason="a SavedModel is TensorFlow's")

METHODS = ("grad-cam", "hires-cam", "layer-cam", "grad-cam-plus-plus", "xgrad-cam")


def written(net, folder, method="grad-cam", *, images=None, **options):
    return seewhy.export(net, folder, method=method, images=images, **options)


def loaded(folder):
    import tensorflow as tf

    return tf.saved_model.load(str(folder))


def asked(model, images, classes):
    found = model.explain(np.asarray(images, np.float32), np.asarray(classes, np.int64))
    return found["score"].numpy(), found["heatmap"].numpy()


@pytest.mark.parametrize(
    "form", ["subclassed", "nested", "operations", "normalised", "channels first", "turned within", "dict of outputs"]
)
def test_however_a_model_is_written(form, tmp_path):
    keras.utils.clear_session()  # layers are called as in a fresh process
    plain = Plain()
    build, layer = FORMS[form]
    net = plain.fill(build(plain))
    turn = (lambda x: np.moveaxis(x, -1, 1)) if build is channels_first else (lambda x: x)
    model = loaded(written(net, tmp_path / "out", layer=layer, images=turn(plain.batch(2)).astype(np.float32)))
    for n in (1, 3):
        batch, classes = plain.batch(n, seed=n), list(range(n))
        scores, maps = asked(model, turn(batch), classes)
        logits, known = plain.logits(batch), plain.maps(batch, lambda y: y[np.arange(n), classes])  # noqa: B023
        assert scores.shape == (n,) and maps.shape == known.shape
        assert abs(scores - logits[np.arange(n), classes]).max() <= 1e-5 * abs(logits).max()
        assert abs(maps - known).max() <= 1e-4 * known.max()


@pytest.mark.parametrize(
    ("method", "axes"), [*((method, 2) for method in METHODS), ("xgrad-cam", 1), ("grad-cam-plus-plus", 3)]
)
def test_the_methods_maths_is_in_the_graph(method, axes, tmp_path):
    plain = Plain(axes)
    net = plain.fill(functional(plain))
    model = loaded(written(net, tmp_path / "out", method))
    batch = plain.batch(4, seed=7).astype(np.float32)
    _, maps = asked(model, batch, [0, 1, 2, 3])
    known = seewhy.explain(net, batch, [0, 1, 2, 3], method=method).maps[:, 0]
    assert known.max() > 0
    assert abs(maps - known).max() <= 1e-5 * abs(known).max()


@pytest.mark.parametrize(
    ("end", "name"), [("softmax", "probabilities"), ("sigmoid", "probabilities"), (None, "logits")]
)
def test_the_score_is_that_before_a_final_activation(end, name, tmp_path):
    plain = Plain()
    net = plain.fill(functional(plain, *([keras.layers.Activation(end)] if end else [])))
    batch = plain.batch().astype(np.float32)
    for score in ("logit", "output"):
        model = loaded(written(net, tmp_path / score, score=score))
        assert np.allclose(model.explain(batch, [0, 1])[name], np.asarray(net(batch)), atol=1e-5)
        scores, maps = asked(model, batch, [0, 1])
        known = seewhy.explain(net, batch, [0, 1], score=score)
        assert np.allclose(scores, known.scores[:, 0], atol=1e-5)
        assert np.allclose(maps, known.maps[:, 0], atol=1e-5 * known.maps.max())
        assert json.loads(model.about().numpy())["score"] == score


def test_minus_one_stands_for_the_predicted_class(tmp_path):
    plain = Plain()
    net = plain.fill(functional(plain))
    model, batch = loaded(written(net, tmp_path / "out")), plain.batch(3, seed=5)
    best = plain.logits(batch).argmax(1)
    assert len(set(best)) > 1
    for given in ([-1, -1, -1], [-1, best[1], -1], [-1]):
        assert np.array_equal(asked(model, batch, given)[1], asked(model, batch, best)[1])
    for index in (-2, -1000, 4):
        with pytest.raises(Exception, match="is not in"):
            asked(model, batch, [0, index, 0])


def test_a_map_without_gradient_tells_so(tmp_path):
    plain = Plain()
    x = image_input(plain)
    features = keras.layers.Conv2D(3, 3, activation="relu", name="conv", kernel_initializer="ones")(x)
    y, own = keras.ops.mean(features, (1, 2, 3)), keras.ops.mean(x, (1, 2, 3))
    net = keras.Model(x, keras.ops.stack([y * keras.ops.relu(own - 0.5), own, -y], 1))
    batch = np.stack([np.full((6, 7, 3), 0.1, np.float32), np.full((6, 7, 3), 0.9, np.float32)])
    model = loaded(written(net, tmp_path / "out", images=batch, layer="conv"))
    for index in range(3):
        found, known = model.explain(batch, [index]), seewhy.explain(net, batch, index, layer="conv")
        assert np.array_equal(found["flat"], known.flat[:, 0])
    assert np.array_equal(model.explain(batch, [0, 0])["flat"], [True, False])


def test_tensorflow_alone_runs_it(tmp_path):
    """In a process that has no seewhy, by its function and by its signature."""
    plain = Plain()
    net = plain.fill(functional(plain))
    written(net, tmp_path / "out", labels=["a", "b", "c", "d"])
    batch = plain.batch(5).astype(np.float32)
    np.save(tmp_path / "batch.npy", batch)
    code = """
import sys

class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("seewhy", "torch"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Refuse())
import json
import numpy as np
import tensorflow as tf

model = tf.saved_model.load("out")
batch, classes = tf.constant(np.load("batch.npy")), tf.constant([0, 1, 2, 3, 0], tf.int64)
found = model.explain(batch, classes)
served = model.signatures["serving_default"](image=batch, class_index=classes)
assert all(np.array_equal(found[name], served[name]) for name in ("logits", "score", "heatmap", "flat"))
about = json.loads(model.about().numpy())
assert about == json.load(open("out/assets.extra/explained.json"))
assert about["labels"] == ["a", "b", "c", "d"] and about["layer"] == "act" and about["method"] == "grad-cam"
np.save("maps.npy", found["heatmap"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    known = seewhy.explain(net, batch, [0, 1, 2, 3, 0]).maps[:, 0]
    assert abs(np.load(tmp_path / "maps.npy") - known).max() <= 1e-5 * known.max()


def test_what_is_known_of_photos_goes_with_it(tmp_path):
    plain = Plain()
    preprocess = seewhy.Preprocess(size=plain.size, resize=None, mean=(0.5,) * 3, std=(0.25,) * 3)
    written(plain.fill(functional(plain)), tmp_path / "out", preprocess=preprocess)
    about = json.loads((tmp_path / "out" / "assets.extra" / "explained.json").read_text(encoding="utf-8"))
    assert about["preprocess"]["size"] == [6, 7] and about["preprocess"]["std"] == [0.25] * 3
    assert about["version"] == seewhy.__version__


def test_half_precision_is_explained_in_full(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        plain = Plain()
        net = plain.fill(functional(plain))
        model = loaded(written(net, tmp_path / "out"))
    finally:
        keras.config.set_dtype_policy("float32")
    batch = plain.batch(2).astype(np.float32)
    scores, maps = asked(model, batch, [0, 1])
    assert scores.dtype == maps.dtype == np.float32
    known = seewhy.explain(net, batch, [0, 1]).maps[:, 0]
    assert abs(maps - known).max() <= 1e-4 * known.max()


def test_a_graph_that_is_not_what_it_should_be_is_not_written(tmp_path, monkeypatch):
    from seewhy.export import saved_model

    kept = saved_model._map
    monkeypatch.setattr(saved_model, "_map", lambda *given: kept(*given) * 1.001)
    plain = Plain()
    with pytest.raises(ModelError, match=r"was not written: for the classes .* its map"):
        written(plain.fill(functional(plain)), tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


class Counting(keras.layers.Layer):
    """Code that counts the images."""

    def call(self, x):
        return keras.ops.reshape(x, (int(x.shape[0]), -1))


def test_what_cannot_be_a_graph_is_told_in_words(tmp_path):
    plain = Plain()
    net = plain.fill(functional(plain))
    for method in ("score-cam", "eigen-cam", "guided-backprop", "smooth-grad", "eigen-grad-cam"):
        with pytest.raises(InputError, match="hires-cam, layer-cam"):
            written(net, tmp_path / "out", method)
    with pytest.raises(InputError, match="augment"):
        written(net, tmp_path / "out", augment="flips")
    with pytest.raises(InputError, match="several inputs"):
        written(with_numbers(plain, dict), tmp_path / "out",
                images={"image": plain.batch(), "numbers": np.zeros((2, 2))})  # fmt: skip
    x = image_input(plain)
    with pytest.raises(LayerError, match="does not depend"):
        cut = keras.ops.stop_gradient(keras.layers.Conv2D(3, 3, name="conv")(x))
        written(keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(cut))), tmp_path / "out", layer="conv")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    plain = Plain()
    net = plain.fill(operations(plain))
    (tmp_path / "out").mkdir()
    written(net, tmp_path / "out")  # an empty one is taken
    written(net, tmp_path / "out", "layer-cam")  # and one that was written before
    assert json.loads((tmp_path / "out" / "assets.extra" / "explained.json").read_text())["method"] == "layer-cam"
    (tmp_path / "out" / "notes.txt").write_text("three years")
    with pytest.raises(SaveError, match=r"holds notes\.txt, which seewhy did not write: move it, or give"):
        written(net, tmp_path / "out")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("three years")
    with pytest.raises(SaveError, match="holds other files"):
        written(net, tmp_path / "mine")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine", "out"]


def test_the_python_in_the_docs_runs(tmp_path, monkeypatch, capsys):
    page = (Path(__file__).parents[2] / "docs/export.md").read_text(encoding="utf-8")
    [code] = re.findall(r"```python\n(.*?)```", page.partition("## Keras")[2].partition("\n## ")[0], re.DOTALL)
    plain = Plain()
    monkeypatch.chdir(tmp_path)
    written(plain.fill(functional(plain)), "explained")
    names = {"images": plain.batch(3).astype(np.float32), "class_index": np.array([-1, 0, 1])}
    exec(compile(code, "docs/export.md", "exec"), names)
    assert set(names["found"]) == {"logits", "score", "heatmap", "flat"}
    assert json.loads(capsys.readouterr().out)["layer"] == "act"


def test_on_the_command_line(tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from seewhy.cli import app

    plain = Plain()
    monkeypatch.chdir(tmp_path)
    plain.fill(functional(plain)).save("mine.keras")
    arguments = ["export", "--model", "python:mine:model", "--method", "layer-cam"]
    (tmp_path / "mine.py").write_text(
        "import keras, seewhy\n"
        "def model():\n"
        "    net = keras.saving.load_model('mine.keras')\n"
        "    return seewhy.VisionModel(net, seewhy.Preprocess((6, 7), None))\n"
    )
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "tensorflow.saved_model.load('explained').explain(image, class_index)" in " ".join(done.output.split())
    assert json.loads((tmp_path / "explained/assets.extra/explained.json").read_text())["method"] == "layer-cam"
    with pytest.raises(ModelError, match="it explains itself in TensorFlow"):
        seewhy.load("file:explained")
