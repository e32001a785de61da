"""What a Keras model is exported to depends on what computes it; test_saved_model.py has the SavedModel itself."""

import warnings

import keras
import numpy as np
import pytest
from keras_nets import FORMS, Plain, channels_first, functional, with_numbers

import seewhy
from seewhy.errors import InputError

BACKEND = keras.config.backend()
on_torch = pytest.mark.skipif(BACKEND != "torch", reason="ONNX graphs are written of what PyTorch computes")


def turned(batch: np.ndarray) -> np.ndarray:
    """Channels first, as every ONNX graph here takes its images."""
    return np.ascontiguousarray(np.moveaxis(batch, -1, 1), np.float32)


def exported(net, folder, **options):
    path = seewhy.export(net, folder / "explained.onnx", **options)
    return seewhy.load(f"file:{path}", preprocess=seewhy.Preprocess(size=Plain().size, resize=None))


@on_torch
@pytest.mark.parametrize("form", ["functional", "subclassed", "normalised", "channels first", "turned within"])
def test_on_pytorch_it_becomes_an_onnx_graph(form, tmp_path):
    plain = Plain()
    build, layer = FORMS[form]
    net, batch = plain.fill(build(plain)), plain.batch(2).astype(np.float32)
    own = turned(batch) if build is channels_first else batch
    model = exported(net, tmp_path, layer=layer, images=own)
    for n in (1, 3):
        batch, classes = plain.batch(n, seed=n), list(range(n))
        found = seewhy.explain(model, turned(batch), [[c] for c in classes])
        known = plain.maps(batch, lambda y: y[np.arange(n), classes])  # noqa: B023
        assert abs(found.maps[:, 0] - known).max() <= 1e-4 * known.max()
        assert np.allclose(found.outputs, plain.logits(batch), atol=1e-4)
        assert found.layer == layer and found.method == "grad-cam"


@on_torch
@pytest.mark.parametrize("method", ["hires-cam", "layer-cam", "grad-cam-plus-plus", "xgrad-cam"])
def test_on_pytorch_the_methods_are_in_the_graph(method, tmp_path):
    plain = Plain()
    net = plain.fill(functional(plain, keras.layers.Activation("softmax")))
    images = plain.batch(2).astype(np.float32)
    with warnings.catch_warnings():  # Grad-CAM++ divides by what is left of sums of both signs: 2e-4, and it says so
        warnings.filterwarnings("ignore", "grad-cam-plus-plus is not sharp here", seewhy.SeewhyWarning)
        model = exported(net, tmp_path, method=method, images=images)
    batch = plain.batch(3, seed=4).astype(np.float32)
    found, known = seewhy.explain(model, turned(batch), 2), seewhy.explain(net, batch, 2, method=method)
    maps, scores = (keras.ops.convert_to_numpy(a) for a in (known.maps, known.scores))
    assert maps.max() > 0 and abs(found.maps - maps).max() <= 1e-3 * maps.max()
    assert np.allclose(found.scores, scores, atol=1e-4)  # before the softmax
    assert np.allclose(found.outputs.sum(1), 1, atol=1e-4)


@on_torch
def test_on_pytorch_it_takes_one_image(tmp_path):
    plain = Plain()
    images = {"image": plain.batch(), "numbers": np.zeros((2, 2))}
    with pytest.raises(InputError, match="one image input"):
        seewhy.export(with_numbers(plain, dict), tmp_path / "explained.onnx", images=images)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("to", "fits", "words"),
    [
        ("savedmodel", "tensorflow", "a SavedModel.*set KERAS_BACKEND=tensorflow"),
        ("onnx", "torch", "an ONNX graph.*set KERAS_BACKEND=torch"),
        ("page", "torch", "a page.*set KERAS_BACKEND=torch"),
    ],
)
def test_what_another_backend_is_needed_for_is_told(to, fits, words, tmp_path):
    if fits == BACKEND:
        return
    plain = Plain()
    with pytest.raises(InputError, match=f"{words}.*") as error:
        seewhy.export(functional(plain), tmp_path / "explained.onnx", to=to)
    assert f"Keras runs on {BACKEND} here" in str(error.value)
    assert ("to='savedmodel'" in str(error.value)) == (BACKEND == "tensorflow")
    assert not list(tmp_path.iterdir())


def test_unless_told_it_becomes_what_its_backend_can(tmp_path):
    plain = Plain()
    net = plain.fill(functional(plain))
    if BACKEND == "jax":
        with pytest.raises(InputError, match=r"Keras runs on jax here: save the model as \.keras"):
            seewhy.export(net, tmp_path / "explained")
    elif BACKEND == "tensorflow":
        assert (seewhy.export(net, tmp_path / "explained") / "saved_model.pb").is_file()
        with pytest.raises(InputError, match="PyTorch or Keras on torch"):
            seewhy.export(net, tmp_path / "explained.onnx")
    else:
        with pytest.raises(InputError, match=r"\.onnx"):
            seewhy.export(net, tmp_path / "explained", images=plain.batch().astype(np.float32))
