"""Loading Keras models, on any backend (KERAS_BACKEND), without a network and without running foreign code."""

import inspect
import json
import os
import socket
import subprocess
import sys
import urllib.error
import warnings
import zipfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import h5py
import numpy as np
import pytest
import torch
from PIL import Image

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import keras

import seewhy
from seewhy import load
from seewhy.adapters._keras_applications import _by_name as by_name
from seewhy.adapters._keras_applications import (
    applications,
    describe,
    guess,
    input_size,
    pixel_range,
    preprocess_of,
)
from seewhy.errors import MissingPackageError, ModelError, SeewhyWarning, UnknownNameError
from seewhy.imagenet import imagenet_labels
from seewhy.images import open_photo
from seewhy.models import _nets
from seewhy.photos import embedded_photo
from seewhy.preprocess import Preprocess

# Keras's own, under a NumPy that is newer than it
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

layers = keras.layers
ASSUMED = "does not say how photos are prepared"


@pytest.fixture(autouse=True)
def _fresh(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    monkeypatch.chdir(tmp_path)
    before = dict(keras.saving.get_custom_objects())
    yield
    keras.saving.get_custom_objects().clear()
    keras.saving.get_custom_objects().update(before)


def small(*first, shape=(24, 32, 3), classes=3, name="small"):
    """A functional model of two layers, after those that are given."""
    image = x = keras.Input(shape)
    for layer in (*first, layers.Conv2D(4, 3, name="conv"), layers.GlobalAveragePooling2D()):
        x = layer(x)
    return keras.Model(image, layers.Dense(classes, name="top")(x), name=name)


def run(net, x) -> np.ndarray:
    return keras.ops.convert_to_numpy(net(x, training=False))


def values(net) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in net.weights]


def x_for(net, n=2) -> np.ndarray:
    shape = [length or 32 for length in net.input_shape[1:]]
    return np.random.default_rng(0).uniform(-1, 1, (n, *shape)).astype("float32")


def save(net, path) -> Path:
    """As the net saves itself; what Keras has to say of its old formats is not for this test."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        (net.save_weights if str(path).endswith(".weights.h5") else net.save)(path)
    return Path(path)


def save_legacy_weights(net, path) -> Path:
    """As Keras 1 and 2 saved weights, and as the files of keras.applications are."""
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, net)
    return Path(path)


def save_folder(net, path) -> Path:
    """A .keras file unpacked, as Keras saves it for the hub."""
    from keras.src.saving import saving_lib

    saving_lib.save_model(net, path, zipped=False)
    return Path(path)


# ---- keras.applications ----------------------------------------------------------------------------------


def test_the_applications_are_found():
    known = applications()
    theirs = {n for n, f in vars(keras.applications).items() if inspect.isfunction(f)}
    assert known.keys() == theirs
    assert {"Xception", "VGG16", "ResNet152V2", "MobileNetV3Small", "NASNetMobile", "ConvNeXtXLarge"} <= known.keys()
    assert len(known) >= 38


@pytest.mark.parametrize("name", sorted(applications()))
def test_pixels_are_those_of_the_applications_own_preprocess_input(name):
    make = applications()[name]
    pixels = np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)
    ours, geometry = preprocess_of(make, (24, 32))(open_photo(Image.fromarray(pixels)))
    theirs = sys.modules[make.__module__].preprocess_input(pixels.astype("float32"), data_format="channels_last")
    assert np.allclose(ours.transpose(1, 2, 0), theirs, atol=1e-4)
    assert geometry.region == ((0, 24), (0, 32))


def test_the_whole_photo_is_shown():
    preprocess = preprocess_of(keras.applications.Xception, (299, 299))
    array, geometry = preprocess(open_photo(Image.new("RGB", (600, 400), "white")))
    assert array.shape == (3, 299, 299)
    assert (array == 1).all()
    assert geometry.region == ((0, 400), (0, 600))


def test_applications_are_known_by_their_names():
    names = {
        name: inspect.signature(make).parameters["name"].default or f"{name.casefold()}_1.00_224"
        for name, make in applications().items()
    }
    assert names["MobileNetV2"] == "mobilenetv2_1.00_224"  # what Keras makes of name=None
    for name, called in names.items():
        assert by_name(small(name=called)) is applications()[name]
    assert by_name(small(name="resnet5")) is None
    assert by_name(keras.Sequential(name="xception")) is None


def test_a_bare_application_brings_its_preprocess_and_labels():
    model = describe(small(classes=1000, name="resnet50"))
    assert model.labels == imagenet_labels()
    assert model.preprocess.colour == "bgr"
    assert model.preprocess.mean == (103.939, 116.779, 123.68)
    assert (model.preprocess.size, model.name) == ((24, 32), "resnet50")
    assert describe(small(classes=10, name="resnet50")).preprocess is None
    assert describe(small(classes=1000, shape=(24, 32, 1), name="resnet50")).preprocess is None
    # built with include_preprocessing=False, it takes other pixels
    assert describe(small(classes=1000, name="efficientnetv2-b0")).labels is None
    whole = describe(small(layers.Rescaling(1 / 255), classes=1000, name="efficientnetv2-b0"))
    assert whole.labels == imagenet_labels()
    assert whole.preprocess == Preprocess((24, 32), (24, 32), mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)


def test_an_application_for_any_size():
    net = small(layers.Rescaling(1 / 127.5, -1), shape=(None, None, 3), classes=1000, name="MobileNetV3Small")
    assert describe(net).preprocess.size == (224, 224)


# ---- any model -------------------------------------------------------------------------------------------


class Own(layers.Layer):
    def call(self, x):
        return x * 2


def nested():
    augmentation = keras.Sequential([layers.RandomFlip(), layers.RandomRotation(0.1)], name="augmentation")
    return small(augmentation, keras.Sequential([layers.Rescaling(1 / 255)], name="scaling"))


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: small(layers.Rescaling(1 / 127.5, -1)), 255),
        (lambda: small(layers.Rescaling(1.0, [-103.9, -116.8, -123.7])), 255),
        (lambda: small(layers.RandomFlip(), layers.Resizing(24, 24), normalised(120, 60)), 255),
        (lambda: small(normalised(5, 3)), 255),  # of dark pictures
        (lambda: small(lambda x: x / 255), 255),
        (lambda: small(lambda x: (1 / 255) * x), 255),
        (lambda: small(lambda x: (x - 127.5) / 127.5), 255),
        (lambda: small(keras.applications.vgg16.preprocess_input), 255),
        (lambda: small(keras.applications.xception.preprocess_input), 255),
        (nested, 255),
        (lambda: keras.Sequential([keras.Input((8, 8, 3)), layers.Rescaling(2.0, -1), layers.Flatten()]), 1),
        (lambda: small(layers.Normalization(mean=[0.485, 0.456, 0.406], variance=[0.0524, 0.0502, 0.0506])), 1),
        (lambda: small(normalised(0.5, 0.3)), 1),
        (lambda: small(lambda x: 2 * x - 1), 1),
        (lambda: small(lambda x: (x - np.float32([0.5, 0.4, 0.3])) / 0.2), 1),
        (lambda: small(normalised(0.0, 0.5)), None),  # of pixels from -1 to 1
        (lambda: small(layers.Normalization()), None),
        (lambda: small(layers.Rescaling(1.0)), None),
        (lambda: small(), None),
        (lambda: small(layers.RandomFlip()), None),
        (lambda: small(layers.BatchNormalization(), layers.Rescaling(2.0)), None),
        (lambda: small(Own(), layers.Rescaling(2.0)), None),
        (lambda: keras.Sequential([layers.Flatten()]), None),
    ],
)
def test_models_that_rescale_inside(build, expected):
    net = build()
    assert pixel_range(net) == expected
    if input_size(net) is not None:
        preprocess = describe(net).preprocess
        assert (preprocess and preprocess.scale * 255) == expected


def normalised(mean, std):
    """A Normalization layer that has seen pictures with colours of this mean and std."""
    layer = layers.Normalization()
    noise = np.random.default_rng(0).normal(size=(99, 4, 4, 3))
    layer.adapt(((noise - noise.mean((0, 1, 2))) / noise.std((0, 1, 2)) * std + mean).astype("float32"))
    return layer


def test_input_sizes(monkeypatch):
    assert input_size(small()) == (24, 32)
    assert input_size(small(shape=(28, 29, 1))) == (28, 29)
    assert input_size(small(shape=(None, 32, 3))) is None
    assert input_size(small(shape=(28, 28, 7))) is None
    assert input_size(keras.Sequential([layers.Dense(1)])) is None  # not built
    assert input_size(keras.Sequential([keras.Input((9,)), layers.Dense(1)])) is None
    a, b = keras.Input((8, 8, 3)), keras.Input((8, 8, 3))
    assert input_size(keras.Model([a, b], layers.Add()([a, b]))) is None
    image = keras.Input((3, 24, 32))
    pooled = layers.MaxPooling2D(data_format="channels_first")(image)
    assert input_size(keras.Model(image, layers.Flatten()(pooled))) == (24, 32)
    assert input_size(keras.Model(image, layers.Flatten()(image))) == (24, 32)  # nothing says so but the shape


def test_grey_models_are_shown_grey_photos():
    model = describe(small(layers.Rescaling(1 / 255), shape=(28, 28, 1)))
    assert model.preprocess == Preprocess((28, 28), (28, 28), mean=(0.0,), std=(1.0,), scale=1.0, colour="grey")


def test_what_is_guessed_is_said():
    plain, words = guess(small())
    assert plain == Preprocess((24, 32), (24, 32), mean=(0.0,) * 3, std=(1.0,) * 3)
    assert words == "the whole photo resized to 24×32, pixels scaled to [0, 1]"
    base = small(name="vgg16")
    image = keras.Input((24, 32, 3))
    tuned, words = guess(keras.Model(image, layers.Dense(2)(base(layers.RandomFlip()(image)))))
    assert (tuned.colour, tuned.scale) == ("bgr", 1.0)
    assert words.endswith("and keras.applications.vgg16.preprocess_input, since it begins with 'vgg16'")
    assert guess(small(shape=(None, None, 3))) is None


# ---- keras:NAME ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def mobilenet():
    keras.utils.set_random_seed(1)
    net = keras.applications.MobileNet(weights=None)
    net.set_weights([w + 0.01 for w in values(net)])
    return net


@pytest.fixture(scope="module")
def mobilenet_file(mobilenet, tmp_path_factory):
    return save_legacy_weights(mobilenet, tmp_path_factory.mktemp("weights") / "mobilenet_1_0_224_tf.h5")


def same(model, net) -> bool:
    x = x_for(net, 1)
    return np.allclose(run(model.net, x), run(net, x), atol=1e-6)


def test_the_download_is_keras_own(mobilenet, mobilenet_file, monkeypatch, capsys):
    def download(name, origin, **options):
        print("Downloading data from", origin)
        assert socket.getdefaulttimeout() == 10
        return str(mobilenet_file)

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", download)
    model = load("keras:mobilenet")
    assert same(model, mobilenet)
    assert model.labels == imagenet_labels()
    assert model.preprocess == preprocess_of(keras.applications.MobileNet, (224, 224))
    assert model.preprocess.mean == model.preprocess.std == (127.5,) * 3
    assert model.name == "keras:mobilenet"
    assert socket.getdefaulttimeout() is None
    assert "Downloading" not in capsys.readouterr().out  # stdout is for the answer


def test_without_a_network(monkeypatch, tmp_path):
    def refuse(url, target, progress):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("keras.src.utils.file_utils.urlretrieve", refuse)
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    with pytest.raises(ModelError, match=r"keras:MobileNet could not be downloaded.*Name or service.*weights=PATH"):
        load("keras:MobileNet")
    assert socket.getdefaulttimeout() is None


def test_unknown_applications():
    with pytest.raises(UnknownNameError, match="did you mean 'Xception'"):
        load("keras:Xcepton")
    with pytest.raises(UnknownNameError, match="'ResNet50'"):
        load("keras:resnet5")


@pytest.mark.parametrize("form", ["mobilenet.weights.h5", "mobilenet.h5", "whole.h5", "whole.keras", "odd.bin"])
def test_weights_from_a_file(mobilenet, mobilenet_file, tmp_path, form):
    if form == "mobilenet.h5":
        path = mobilenet_file
    elif form == "odd.bin":  # what it is, is told by its content
        path = save(mobilenet, tmp_path / "x.weights.h5").rename(tmp_path / form)
    else:
        path = save(mobilenet, tmp_path / form)
    model = load("keras:MobileNet", weights=path)
    assert same(model, mobilenet)
    assert model.labels == imagenet_labels()
    if form == "mobilenet.h5":
        assert load(f"file:{path}@keras:mobilenet").name == f"file:{path.name}@keras:mobilenet"


def stand_in(monkeypatch, name):
    """A small net in place of an application, made as that one is."""

    def make(weights, input_shape=(24, 32, 3), classes=1000):
        assert weights is None
        return small(layers.Conv2D(3, 1), layers.Conv2D(3, 1), shape=input_shape, classes=classes)

    make.__module__ = applications()[name].__module__
    monkeypatch.setattr(keras.applications, name, make)
    return make


@pytest.mark.parametrize("form", ["new.weights.h5", "new.keras", "whole.h5", "legacy.h5", "folder"])
def test_the_class_count_comes_from_the_weights(monkeypatch, tmp_path, form):
    net = stand_in(monkeypatch, "VGG16")(None, classes=7)
    path = {"legacy.h5": save_legacy_weights, "folder": save_folder}.get(form, save)(net, form)
    model = load("keras:VGG16", weights=path)
    assert same(model, net)
    assert model.labels is None
    assert model.preprocess == preprocess_of(keras.applications.VGG16, (24, 32))


def test_applications_for_any_size_are_built_for_the_one_of_their_weights(monkeypatch):
    net = stand_in(monkeypatch, "MobileNetV3Large")(None, (224, 224, 3))
    model = load("keras:mobilenetv3large", weights=save(net, "x.weights.h5"))
    assert model.net.input_shape == (None, 224, 224, 3)
    assert model.preprocess == Preprocess((224, 224), (224, 224), mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)


def test_weights_that_do_not_fit(mobilenet_file, tmp_path):
    other = small(layers.Conv2D(3, 1), classes=1000)
    for path in (save(other, tmp_path / "x.weights.h5"), save_legacy_weights(other, tmp_path / "x.h5")):
        with pytest.raises(ModelError, match=r"do not fit keras:MobileNet: .*([Ll]ayer|conv)") as raised:
            load("keras:MobileNet", weights=path)
        assert "\n" not in str(raised.value)
    torch.save({"a": torch.zeros(1)}, tmp_path / "x.pth")
    with pytest.raises(ModelError, match=r"holds weights of PyTorch \(pickle\).*\.weights\.h5"):
        load("keras:MobileNet", weights=tmp_path / "x.pth")
    with h5py.File(tmp_path / "foreign.h5", "w") as file:
        file["spectra/first"] = np.zeros(3)
    with pytest.raises(ModelError, match=r"holds no weights of Keras.*'spectra'"):
        load("keras:MobileNet", weights=tmp_path / "foreign.h5")
    with pytest.raises(ModelError, match="does not exist"):
        load("keras:MobileNet", weights=tmp_path / "none.h5")
    with pytest.raises(ModelError, match="is a file of Keras, and holds no weights of PyTorch"):
        load("lite0", weights=mobilenet_file)


def test_damaged_weights(mobilenet_file, tmp_path):
    whole = mobilenet_file.read_bytes()
    for content in (whole[: len(whole) // 2], b"\x89HDF\r\n\x1a\n"):
        (tmp_path / "cut.h5").write_bytes(content)
        with pytest.raises(ModelError, match=r"truncated or damaged"):
            load("keras:MobileNet", weights=tmp_path / "cut.h5")
    (tmp_path / "empty.h5").write_bytes(b"")
    with pytest.raises(ModelError, match="is empty"):
        load("keras:MobileNet", weights=tmp_path / "empty.h5")


def test_weights_with_more_than_the_model_has(tmp_path):
    more = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(2, 3), layers.Conv2D(2, 3)])
    (tmp_path / "my_nets.py").write_text(
        "import keras\n"
        "def build(): return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])\n"
        "def unbuilt(): return keras.Sequential([keras.layers.Conv2D(2, 3)])\n"
    )
    save(more, tmp_path / "x.weights.h5")
    with pytest.raises(ModelError, match="holds 4 arrays, the model takes 2"):
        load("python:my_nets:build", weights="x.weights.h5")
    with pytest.raises(ModelError, match=r"python:my_nets:unbuilt is not built yet"):
        load("python:my_nets:unbuilt", weights="x.weights.h5")
    del sys.modules["my_nets"]


def test_efficientnet_normalises_as_it_was_trained(tmp_path, monkeypatch):
    """A file of Keras's own weights is loaded to the same numbers as with weights="imagenet"."""
    from keras.src.applications.efficientnet import EfficientNet

    block = {"kernel_size": 3, "repeats": 1, "filters_in": 8, "filters_out": 8, "expand_ratio": 1, "id_skip": True,
             "strides": 1, "se_ratio": 0.25}  # fmt: skip

    def make(weights, classes=1000):  # a small one
        return EfficientNet(0.1, 1, 32, blocks_args=[block], weights=weights, classes=classes, weights_name="b0")

    make.__module__ = EfficientNet.__module__
    monkeypatch.setattr(keras.applications, "EfficientNetB0", make)
    net = make(None)
    normal = next(layer for layer in net.layers if isinstance(layer, layers.Normalization))
    normal.adapt_mean.assign([0.485, 0.456, 0.406])
    normal.adapt_variance.assign([0.229, 0.224, 0.225])  # so it is in Keras's file: the std
    path = save_legacy_weights(net, tmp_path / "efficientnetb0.h5")
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *args, **options: str(path))
    theirs, ours = make("imagenet"), load("keras:EfficientNetB0", weights=path).net
    x = np.random.default_rng(0).uniform(0, 255, (1, 32, 32, 3)).astype("float32")
    expected, mine, plain = (
        run(keras.Model(n.inputs[0], n.get_layer("stem_conv").output), x) for n in (theirs, ours, net)
    )
    assert np.allclose(mine, expected, atol=1e-5)
    assert not np.allclose(plain, expected, atol=1e-2)  # as Keras itself would load the file


# ---- lite0 -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def keras_lite0():
    return load("keras:lite0")


def test_lite0_is_the_same_as_in_pytorch(keras_lite0, lite0):
    array, _ = keras_lite0.preprocess(embedded_photo("coffee"))
    with torch.no_grad():
        theirs = lite0.net(torch.from_numpy(array)[None]).numpy()
    ours = keras_lite0.net.predict_on_batch(array.transpose(1, 2, 0)[None])
    assert abs(ours - theirs).max() < 1e-4
    assert keras_lite0.labels[ours.argmax()] == "espresso"


def test_lite0_is_the_same_for_any_size(keras_lite0, lite0):
    x = np.random.default_rng(0).normal(size=(1, 3, 37, 50)).astype("float32")
    with torch.no_grad():
        theirs = lite0.net(torch.from_numpy(x)).numpy()
    assert abs(keras_lite0.net.predict_on_batch(x.transpose(0, 2, 3, 1)) - theirs).max() < 1e-4


def test_lite0_is_a_plain_functional_model(keras_lite0, lite0):
    net = keras_lite0.net
    names = [layer.name for layer in net.layers]
    assert {"stem_conv", "block1a_project_conv", "block7a_project_bn", "top_activation", "avg_pool"} <= set(names)
    assert names[-1] == "predictions"
    assert net.output_shape == (None, 1000)
    assert net.count_params() == sum(v.numel() for v in lite0.net.state_dict().values() if v.ndim)
    assert (keras_lite0.name, keras_lite0.preprocess) == ("keras:lite0", lite0.preprocess)


def test_lite0_takes_weights_of_both_worlds(keras_lite0, lite0, tmp_path):
    torch.save({f"module.{n}": v * 0 for n, v in lite0.net.state_dict().items()}, tmp_path / "zero.pth")
    zero = load("keras:lite0", weights=tmp_path / "zero.pth")
    assert not any(map(np.any, values(zero.net)))
    again = load("keras:LITE0", weights=save(keras_lite0.net, tmp_path / "lite0.weights.h5"))
    assert all(map(np.array_equal, values(again.net), values(keras_lite0.net)))
    state = lite0.net.state_dict()
    torch.save({n: v for n, v in state.items() if n != "_fc.bias"}, tmp_path / "less.pth")
    with pytest.raises(ModelError, match=r"do not fit keras:lite0: missing.*_fc\.bias"):
        load("keras:lite0", weights=tmp_path / "less.pth")
    torch.save(state | {"_fc.bias": torch.zeros(7)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"those of _fc have the shape \(7,\) as predictions, expected \(1000,\)"):
        load("keras:lite0", weights=tmp_path / "other.pth")


# ---- files: whole models ---------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["model.keras", "model.h5", "model.bin", "folder"])
def test_whole_models(tmp_path, form):
    net = small(layers.Rescaling(1 / 255), layers.Dropout(0.5))
    net.compile("adam", "mse", metrics=["acc"])
    if form == "folder":
        path = save_folder(net, tmp_path / form)
    else:
        path = save(net, tmp_path / form.replace(".bin", ".keras")).rename(tmp_path / form)
    model = load(f"file:{path}")
    assert same(model, net)
    assert model.name == f"file:{form}"
    assert model.labels is None
    assert model.preprocess == Preprocess((24, 32), (24, 32), mean=(0.0,) * 3, std=(1.0,) * 3, scale=1.0)
    with pytest.raises(ModelError, match="for PyTorch models"):
        load(f"file:{path}", device="cpu")


def test_what_is_assumed_of_a_model_is_said(tmp_path):
    path = save(small(), tmp_path / "model.keras")
    with pytest.warns(SeewhyWarning, match=f"{ASSUMED}.*resized to 24×32, pixels scaled to .0, 1."):
        model = load(f"file:{path}", labels=["a", "b", "c"])
    assert model.preprocess.size == (24, 32)
    assert model.labels == ("a", "b", "c")
    any_size = save(small(shape=(None, None, 3)), tmp_path / "any.keras")
    assert load(f"file:{any_size}").preprocess is None


def test_an_application_in_a_file_is_recognised(tmp_path):
    path = save(small(classes=1000, name="vgg19"), tmp_path / "model.keras")
    model = load(f"file:{path}")
    assert model.labels == imagenet_labels()
    assert model.preprocess.colour == "bgr"


def test_a_trained_model_as_weights(tmp_path):
    net = small()
    net.compile("adam", "mse", metrics=["mae"])
    net.fit(x_for(net), np.zeros((2, 3)), verbose=0)
    (tmp_path / "my_small.py").write_text(f"import sys\nsys.path.insert(0, {str(Path(__file__).parent)!r})\n"
                                          "from test_loading import small\n")  # fmt: skip
    for form in ("trained.keras", "trained.h5", "trained.weights.h5"):
        with pytest.warns(SeewhyWarning, match=ASSUMED):
            model = load("python:my_small:small", weights=save(net, tmp_path / form))
        assert same(model, net)


def test_weights_alone_are_no_model(tmp_path):
    for path in (save(small(), tmp_path / "x.weights.h5"), save_legacy_weights(small(), tmp_path / "x.h5")):
        with pytest.raises(ModelError, match=r"without a model.*@keras:Xception.*--model keras:Xception --weights"):
            load(f"file:{path}")


def rewritten(path: Path, change, member="config.json") -> Path:
    """A .keras file with its configuration changed by a function of its text."""
    target = path.with_name(f"changed_{path.name}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            data = source.read(name)
            copy.writestr(name, change(data.decode()) if name == member else data)
    return target


def test_damaged_models(tmp_path):
    path = save(small(), tmp_path / "model.keras")
    whole = path.read_bytes()
    (tmp_path / "cut.keras").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ModelError, match="truncated or damaged"):
        load("file:cut.keras")
    for change in (lambda text: text[:50], lambda text: "[1]", lambda text: "[" * 100_000):
        with pytest.raises(ModelError, match="damaged"):
            load(f"file:{rewritten(path, change)}")
    with pytest.raises(ModelError, match=r"cannot be loaded by Keras 3|damaged"):
        load(f"file:{rewritten(path, lambda text: text.replace('Conv2D', 'Dense'))}")
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(tmp_path / "bare.keras", "w") as copy:
        copy.writestr("config.json", source.read("config.json"))
    with pytest.raises(ModelError, match="no model that PyTorch or Keras wrote"):
        load("file:bare.keras")


def test_models_of_other_kinds_say_what_to_do(tmp_path):
    (tmp_path / "saved").mkdir()
    (tmp_path / "saved" / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"TensorFlow SavedModel.*model\.save\('model\.keras'\)"):
        load("file:saved")
    path = save(small(), tmp_path / "model.keras")
    old = rewritten(path, lambda text: text.replace("keras.src.models.functional", "keras.src.engine.functional"))
    old = rewritten(old, lambda text: '{"keras_version": "2.15.0"}', "metadata.json")
    with pytest.raises(ModelError, match=r"functional\.Functional.*saved by Keras 2\.15\.0.*python:MODULE:FACTORY"):
        load(f"file:{old}")
    path = save(small(layers.ReLU(name="relu")), tmp_path / "model.h5")
    with h5py.File(path, "r+") as file:
        text = file.attrs["model_config"]
        file.attrs["model_config"] = text.replace('"class_name": "ReLU"', '"class_name": "TFOpLambda"')
        file.attrs["keras_version"] = "2.11.0"
    with pytest.raises(ModelError, match=r"needs TFOpLambda, which Keras 3 does not have.*Keras 2\.11\.0"):
        load("file:model.h5")


# ---- files: nothing foreign is imported or run without trust -----------------------------------------------

MODULE = """
import pathlib
pathlib.Path({trap!r}).touch()
import keras
class Twice(keras.layers.Layer):
    def call(self, x): return x * 2
def halve(x): return x / 2
"""


@pytest.fixture
def my_layers(tmp_path, monkeypatch):
    """A module with a layer, which leaves a trace when it is imported, and a model file that needs it."""
    trap = tmp_path / "sprung"
    (tmp_path / "my_keras_layers.py").write_text(MODULE.format(trap=str(trap)))
    monkeypatch.syspath_prepend(str(tmp_path))
    import my_keras_layers

    net = small(my_keras_layers.Twice(name="twice"))
    path = save(net, tmp_path / "model.keras")
    save(net, tmp_path / "model.h5")
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    sys.modules.pop("my_keras_layers", None)
    trap.unlink()
    yield SimpleNamespace(trap=trap, path=path, net=net)
    sys.modules.pop("my_keras_layers", None)


def test_a_foreign_layer_is_not_imported_without_trust(my_layers):
    with pytest.raises(ModelError, match=r"needs my_keras_layers\.Twice.*--trust.*register_keras_serializable"):
        load("file:model.keras")
    with pytest.raises(ModelError, match=r"needs Twice, which is not part of Keras\. put @keras"):
        load("file:model.h5")  # HDF5 does not say where it is
    assert not my_layers.trap.exists()
    assert "my_keras_layers" not in sys.modules


def test_a_foreign_layer_is_imported_with_trust(my_layers, tmp_path):
    before = list(sys.path)
    with pytest.warns(SeewhyWarning, match=ASSUMED):
        model = load("file:model.keras", trust=True)
    assert my_layers.trap.exists()
    assert same(model, my_layers.net)
    assert sys.path == before
    with pytest.raises(ModelError, match="does not say where that is"):
        load("file:model.h5", trust=True)
    (tmp_path / "my_keras_layers.py").unlink()
    sys.modules.pop("my_keras_layers")
    with pytest.raises(ModelError, match="importing my_keras_layers failed: No module named"):
        load("file:model.keras", trust=True)


def test_what_is_registered_needs_no_trust(my_layers, tmp_path):
    @keras.saving.register_keras_serializable("mine")
    class Thrice(layers.Layer):
        def call(self, x):
            return x * 3

    @keras.saving.register_keras_serializable("mine")
    def thirds(x):
        return x / 3

    net = small(Thrice(), layers.Activation(thirds))
    for form in ("own.keras", "own.h5"):
        model = load(f"file:{save(net, tmp_path / form)}", preprocess="imagenet")
        assert same(model, net)
    with keras.saving.custom_object_scope({"Twice": Own}):
        assert load("file:model.h5", preprocess="imagenet")


@pytest.mark.parametrize("form", ["model.keras", "model.h5"])
def test_a_lambda_needs_trust(tmp_path, form):
    net = small(layers.Lambda(lambda x: x * 2, output_shape=(24, 32, 3)))
    path = save(net, tmp_path / form)
    with pytest.raises(ModelError, match=r"holds Python code.*--trust"):
        load(f"file:{path}")
    assert same(load(f"file:{path}", trust=True, preprocess="imagenet"), net)


@pytest.mark.parametrize(
    ("entry", "says"),
    [
        ({"module": "my_evil", "class_name": "Layer", "config": {}, "registered_name": "x"}, r"needs my_evil\.Layer"),
        ({"module": "my_evil", "class_name": "Dense", "config": {}}, r"needs my_evil\.Dense"),
        ({"module": "keras_hub.my_evil", "class_name": "Dense", "config": {}}, r"needs keras_hub\.my_evil\.Dense"),
        ({"module": "builtins", "class_name": "function", "config": "exec", "registered_name": "function"}, "exec"),
        ({"module": "my_evil", "class_name": "function", "config": "relu6x", "registered_name": "relu"}, "relu6x"),
        ({"module": "keras.utils", "class_name": "function", "config": "get_file"}, r"needs keras\.utils\.get_file"),
        ({"module": "keras.utils", "class_name": "get_file", "config": {}}, r"needs keras\.utils\.get_file"),
        ({"module": "keras.src.utils.file_utils", "class_name": "shutil", "config": {}}, "file_utils.shutil"),
        ({"class_name": "__typespec__", "module": "my_evil", "spec_name": "S", "config": []}, r"needs my_evil\.S"),
        ({"module": "keras.layers", "class_name": "TFSMLayer", "config": {"filepath": "x"}}, "TFSMLayer"),
        ({"module": "keras.layers", "class_name": "TorchModuleWrapper", "config": {}}, "pickled PyTorch module"),
        ({"module": "keras.layers", "class_name": "StringLookup", "config": {"vocabulary": "/etc/passwd"}}, "reads"),
        ({"class_name": ["a"], "config": {}}, "needs"),
    ],
)
def test_crafted_files_are_refused(tmp_path, entry, says):
    """Whatever the layer's configuration names is looked at, at any depth."""
    trap = tmp_path / "sprung"
    (tmp_path / "my_evil.py").write_text(f"import pathlib\npathlib.Path({str(trap)!r}).touch()\n")
    path = save(small(), tmp_path / "model.keras")

    def add(text: str) -> str:
        config = json.loads(text)
        config["config"]["layers"][1]["config"]["activation"] = {"deep": [entry]}
        return json.dumps(config)

    with pytest.raises(ModelError, match=says):
        load(f"file:{rewritten(path, add)}")
    assert not trap.exists()
    assert not {"my_evil", "keras_hub"} & sys.modules.keys()


# ---- python:MODULE:FACTORY -------------------------------------------------------------------------------


def test_factories_of_keras_models(tmp_path):
    (tmp_path / "my_keras_nets.py").write_text(
        "import keras\n"
        "def build():\n"
        "    return keras.Sequential([keras.Input((16, 8, 3)), keras.layers.Rescaling(0.01), keras.layers.Flatten()])\n"
        "def text(): return 'x'\n"
    )
    model = load("python:my_keras_nets:build")
    assert model.preprocess.size == (16, 8)
    assert model.name == "python:my_keras_nets:build"
    with pytest.raises(ModelError, match=r"expected a torch\.nn\.Module, a keras\.Model or a seewhy\.VisionModel"):
        load("python:my_keras_nets:text")
    del sys.modules["my_keras_nets"]


# ---- packages and backends -------------------------------------------------------------------------------


def test_nothing_is_imported_early():
    code = (
        "import sys, seewhy.models.keras, seewhy.adapters._keras_applications, seewhy.models._keras_files; "
        "bad = {n.split('.')[0] for n in sys.modules} & {'torch', 'keras', 'tensorflow', 'jax', 'h5py'}; "
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def keras_of(version: str) -> ModuleType:
    module = ModuleType("keras")
    module.__version__ = version
    return module


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine on which Keras is not imported yet, with only some packages, and no settings."""
    monkeypatch.delitem(sys.modules, "keras")
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.setattr(_nets, "require", lambda package, spec, extra: keras_of("3.9.0"))

    def installed(*packages):
        monkeypatch.setattr(_nets, "find_spec", lambda name: name if name in ("keras", *packages) else None)

    yield installed
    os.environ.pop("KERAS_BACKEND", None)  # before monkeypatch puts the right one back


def test_a_backend_that_is_installed_is_taken(machine, tmp_path):
    machine("torch")
    assert _nets.require_keras("keras:Xception").__version__ == "3.9.0"
    assert os.environ["KERAS_BACKEND"] == "torch"


def test_the_settings_file_of_keras_counts(machine, tmp_path):
    machine("tensorflow", "torch")
    (tmp_path / "keras.json").write_text('{"backend": "jax"}')
    with pytest.raises(MissingPackageError, match=r"set to the backend jax, which is not installed.*seewhy\[jax\]"):
        _nets.require_keras("keras:Xception")
    (tmp_path / "keras.json").write_text("{broken")
    assert _nets.require_keras("keras:Xception")
    assert "KERAS_BACKEND" not in os.environ


def test_a_backend_that_is_not_installed(machine, monkeypatch):
    machine("jax", "torch")
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")  # the user's word
    with pytest.raises(MissingPackageError, match=r"backend tensorflow, which is not installed; installed here: jax, "
                                                  r"torch\. choose one .*KERAS_BACKEND=jax, or pip install "
                                                  r"\"seewhy\[keras\]\""):  # fmt: skip
        _nets.require_keras("keras:Xception")
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    with pytest.raises(MissingPackageError, match="'numpy', and models are explained on tensorflow, jax, torch"):
        _nets.require_keras("keras:Xception")
    monkeypatch.delenv("KERAS_BACKEND")
    machine()
    with pytest.raises(MissingPackageError, match="none of tensorflow, jax, torch is installed"):
        _nets.require_keras("keras:Xception")


def test_keras_that_is_missing_or_too_old(monkeypatch):
    monkeypatch.setitem(sys.modules, "keras", None)
    with pytest.raises(MissingPackageError, match=r'needs the package keras.*pip install "seewhy\[keras\]"'):
        load("keras:Xception")
    monkeypatch.setitem(sys.modules, "keras", keras_of("2.15.0"))
    with pytest.raises(MissingPackageError, match=r"needs Keras 3, and Keras 2\.15\.0 is installed"):
        load("keras:Xception")


def test_the_scheme_is_listed():
    scheme = next(s for s in seewhy.models.schemes() if s.form == "keras:NAME")
    assert scheme.installed
    assert scheme.extra == "keras"


def test_a_function_of_another_module_is_foreign_whatever_its_name():
    """Keras up to 3.8 would import that module; the installed one may not, so what we find is asked directly."""
    from seewhy.models import _keras_files

    for module, own in (("builtins", True), ("evil", False), ("keras.activations", True), ("keras.evil", False)):
        entry = {"module": module, "class_name": "function", "config": "relu", "registered_name": "function"}
        assert (_keras_files._foreign(keras, entry) is None) == own, module
