"""The command line as people use it: in this process, and once as a real subprocess."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

import seewhy
from seewhy import cli
from seewhy.cli import _report
from seewhy.photos import embedded_photo

KEYS = ["photo", "output", "model", "method", "layer", "predictions", "targets", "seconds"]


@pytest.fixture
def run(monkeypatch, tmp_path, capfd, lite0):
    """Run `seewhy ARGUMENTS` in an empty folder: (exit code, stdout, stderr)."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    load = seewhy.load
    monkeypatch.setattr(
        seewhy, "load", lambda spec, **o: lite0 if spec == "lite0" and not o.get("device") else load(spec, **o)
    )

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["seewhy", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
            sys.exit(0)
        out, err = capfd.readouterr()
        return stopped.value.code or 0, out, err

    return call


def test_explain_one_photo(run, coffee):
    code, out, err = run("explain", coffee)
    assert (code, err) == (0, "")
    assert "espresso" in out and "9" in out and "80% of the evidence for 'espresso'" in out and "coffee_cam.jpg" in out
    with Image.open("coffee_cam.jpg") as picture:
        assert picture.size == (600, 400)
    assert os.listdir() == ["coffee_cam.jpg"]


def test_several_targets_stand_side_by_side(run, coffee):
    code, out, _ = run("explain", coffee, "--target", "espresso", "--target", "504", "-t", "Tiger_Cat")
    assert code == 0 and os.listdir() == ["coffee_cam.jpg"]
    assert all(f"of the evidence for '{label}'" in out for label in ("espresso", "coffee mug", "tiger cat"))
    with Image.open("coffee_cam.jpg") as picture:
        assert picture.width > 2.5 * picture.height
    code, _, _ = run("explain", coffee, "--top", "2", "--out", "made/pictures")
    assert code == 0 and os.listdir("made/pictures") == ["coffee_cam.jpg"]


def test_several_layers_stand_side_by_side(run, coffee):
    names = [info.name for info in seewhy.layers(seewhy.load("lite0")) if min(info.shape[1:]) > 1]
    layers = [names[len(names) // 4], names[len(names) // 2], names[-1]]
    code, out, _ = run("explain", coffee, "--layers", ",".join(layers), "--json")
    record = json.loads(out)
    assert code == 0 and list(record) == ["photo", "output", "model", "predictions", "explanations", "seconds"]
    assert [one["layer"] for one in record["explanations"]] == layers
    assert run("explain", coffee, "--layers", "all", "--out", "all.png")[0] == 0
    with Image.open("all.png") as sheet:
        assert sheet.width > 2 * sheet.height
    code, out, _ = run("explain", coffee, "--layers", ",".join(layers), "--fuse", "max", "--json", "-o", "fused.npz")
    assert code == 0 and json.loads(out)["layer"] == f"max of {', '.join(layers)}"
    assert seewhy.open("fused.npz").layer == f"max of {', '.join(layers)}"
    code, _, err = run("explain", coffee, "--layers", ",".join(layers), "--out", "apart.npz")
    assert code == 1 and "an .npz file holds one explanation" in err
    code, _, err = run("explain", coffee, "--layers", "all", "--layer", layers[0])
    assert code == 1 and "--layer and --layers say two things" in err


def test_compare_draws_methods_side_by_side(run, coffee):
    code, out, err = run("compare", coffee, "--methods", "grad-cam,layer-cam,random-cam", "--out", "methods.png")
    assert (code, err) == (0, "")
    for name in ("grad-cam", "layer-cam", "random-cam"):
        assert f"{name}: " in out
    with Image.open("methods.png") as sheet:
        assert sheet.width > 2.5 * sheet.height
    record = json.loads(run("compare", coffee, "--json", "--methods", "grad-cam,gradient", "--top", "2")[1])
    assert [one["method"] for one in record["explanations"]] == ["grad-cam", "gradient"]
    assert record["explanations"][1]["layer"] == "input"
    assert [len(one["targets"]) for one in record["explanations"]] == [2, 2]
    assert "did you mean 'layer-cam'" in run("compare", coffee, "--methods", "grad-cam,layer-cma")[2]
    assert "expected methods as a list" in run("compare", coffee, "--methods", ",")[2]


def test_options_of_a_method_and_its_cost(run, coffee):
    code, _, err = run("explain", coffee, "--method", "score-cam", "-O", "channels=2", "-O", "memory=64")
    assert code == 0 and "note: score-cam: many passes through the model" in err
    assert "no option 'chanels'" in run("explain", coffee, "--method", "score-cam", "-O", "chanels=2")[2]
    assert "expected NAME=VALUE, such as --option channels=32" in run("explain", coffee, "-O", "channels")[2]


def test_augmented(run, coffee):
    assert run("explain", coffee, "--augment", "flips", "--augment", "scales", "--out", "mean.npz")[0] == 0
    assert run("explain", coffee, "--out", "plain.npz")[0] == 0
    mean, plain = seewhy.open("mean.npz"), seewhy.open("plain.npz")
    assert mean.maps.shape == plain.maps.shape and not np.allclose(mean.maps, plain.maps)


def test_json_is_one_object_for_each_photo_and_nothing_else(run, coffee):
    cat = embedded_photo("cat").path
    code, out, err = run("explain", coffee, cat, "missing.jpg", "--json", "--top", "2")
    assert code == 1
    records = [json.loads(line) for line in out.splitlines()]
    assert [list(record) for record in records] == [KEYS, KEYS]
    record = records[0]
    assert record["photo"] == str(coffee) and record["model"] == "lite0" and record["method"] == "grad-cam"
    assert record["output"] == "coffee_cam.jpg" and Path("coffee_cam.jpg").exists()
    assert record["predictions"][0].keys() == {"index", "label", "probability"}
    assert record["predictions"][0]["index"] == 967 and record["predictions"][0]["probability"] > 0.9
    assert [list(target) for target in record["targets"]] == [["index", "label", "score", "blank", "box"]] * 2
    target = record["targets"][0]
    assert target["label"] == "espresso" and target["blank"] is False and target["score"] > 5
    left, top, right, bottom = target["box"]
    assert 0 <= left < right <= 600 and 0 <= top < bottom <= 400
    assert 0 < record["seconds"] < 60
    assert "missing.jpg does not exist" in err and "1 of 3 photos" in err
    one = json.loads(run("explain", coffee, "--json")[1])
    assert one["output"] == "coffee_cam.jpg"


def test_a_bad_photo_costs_no_other_photo(run, coffee, tmp_path):
    (tmp_path / "text.jpg").write_text("no photo")
    (tmp_path / "empty.png").touch()
    (tmp_path / "cut.png").write_bytes(coffee.read_bytes()[:5000])
    cat = embedded_photo("cat").path
    bad = ["text.jpg", "empty.png", "cut.png", "missing.jpg", "https://example.org/x.jpg", str(tmp_path)]
    code, _, err = run("explain", bad[0], coffee, *bad[1:], cat)
    assert code == 1
    for name in bad:
        assert name in err
    for reason in ("not an image", "is empty", "truncated", "does not exist", "is a URL", "is a folder"):
        assert reason in err
    assert "Traceback" not in err
    assert {"coffee_cam.jpg", "chelsea_cam.jpg"} <= set(os.listdir())
    assert len(os.listdir()) == 5


def test_input_photos_are_never_overwritten(run, coffee):
    shutil.copy(coffee, "a.png")
    shutil.copy(coffee, "a_cam.jpg")
    before = Path("a.png").read_bytes(), Path("a_cam.jpg").read_bytes()
    code, _, err = run("explain", "a.png", "--out", "a.png")
    assert code == 1 and "overwritten" in err
    code, out, _ = run("explain", "a.png", "a_cam.jpg")
    assert code == 0 and "a_cam_2.jpg" in out
    assert (Path("a.png").read_bytes(), Path("a_cam.jpg").read_bytes()) == before


def test_two_photos_of_one_name_make_two_pictures(run, coffee):
    for folder in ("x", "y"):
        os.mkdir(folder)
        shutil.copy(coffee, f"{folder}/photo.png")
    assert run("explain", "x/photo.png", "y/photo.png")[0] == 0
    assert {"photo_cam.jpg", "photo_cam_2.jpg"} <= set(os.listdir())


def test_out_forms(run, coffee):
    assert run("explain", coffee, "--out", "one.png")[0] == 0
    assert run("explain", coffee, "--out", "raw.npz")[0] == 0
    assert seewhy.open("raw.npz").labels == [["espresso"]]
    assert run("explain", coffee, "--out", "two.webp", "--top", "2")[0] == 0
    assert {"one.png", "raw.npz", "two.webp"} <= set(os.listdir())
    for out, words in (("x.xyz", "expected one of .jpg"), ("one.png/inside", "cannot be made")):
        code, _, err = run("explain", coffee, "--out", out)
        assert code == 1 and words in err
    code, _, err = run("explain", coffee, coffee, "--out", "one.jpg")
    assert code == 1 and "one file for 2 photos: give a folder" in err


def test_looks(run, coffee):
    assert run("explain", coffee, "--style", "classic", "--out", "classic.png")[0] == 0
    assert run("explain", coffee, "--colormap", "inferno", "--opacity", "0.9", "--out", "inferno.png")[0] == 0
    assert run("explain", coffee, "--out", "plain.png")[0] == 0
    pictures = [np.asarray(Image.open(name)) for name in ("classic.png", "inferno.png", "plain.png")]
    assert not np.array_equal(pictures[0], pictures[2]) and not np.array_equal(pictures[1], pictures[2])


def test_what_speaks_against_and_what_tells_apart(run, coffee):
    def asked(*options):
        return [target["label"] for target in json.loads(run("explain", coffee, "--json", *options)[1])["targets"]]

    assert asked("--negative") == ["not espresso"]
    assert asked("--negative", "--target", "cup", "-t", "504") == ["not cup", "not coffee mug"]
    assert asked("--versus", "cup") == ["espresso rather than cup"]
    assert asked("--versus", "968", "--top", "1") == ["espresso rather than cup"]
    assert asked("--versus", "cup", "--target", "espresso", "--target", "eggnog") == [
        "espresso rather than cup",
        "eggnog rather than cup",
    ]
    assert asked("--versus", "cup", "--negative") == ["not espresso rather than cup"]
    assert os.listdir() == ["coffee_cam.jpg"]


def test_signed_pictures(run, coffee):
    options = ["--versus", "cup", "--signed", "--out"]
    code, out, _ = run("explain", coffee, *options, "signed.png")
    assert code == 0 and "of all evidence is against it" in out
    assert run("explain", coffee, *options, "signed.npz")[0] == 0
    assert seewhy.open("signed.npz").signed
    assert np.array_equal(seewhy.open("signed.npz").overlay(), np.asarray(Image.open("signed.png")))


def test_method_layer_score(run, coffee):
    options = ["--method", "layer-cam", "--layer", "_blocks.10", "--score", "output"]
    record = json.loads(run("explain", coffee, "--json", *options)[1])
    assert (record["method"], record["layer"]) == ("layer-cam", "_blocks.10")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--method", "grad-cma"], "unknown method 'grad-cma': did you mean 'grad-cam'"),
        (["--model", "lite1"], "lite0"),
        (["--layer", "_blocks.99"], "unknown layer '_blocks.99': did you mean '_blocks"),
        (["--layer", "_fc"], "the layer '_fc' (Linear) cannot be explained: its output has no spatial axes"),
        (["--target", "expresso"], "unknown class 'expresso': did you mean 'espresso'"),
        (["--target", "1000"], "0 to 999"),
        (["--target", "-1"], "0 to 999"),
        (["--target", "1", "--top", "2"], "two things"),
        (["--target", "1", "--target", "1"], "given twice"),
        (["--top", "0"], "whole number"),
        (["--top", "1001"], "more classes than the model has"),
        (["--colormap", "infernoo"], "did you mean 'inferno'"),
        (["--opacity", "2"], "opacity"),
        (["--versus", "expresso"], "unknown class 'expresso': did you mean 'espresso'"),
        (["--versus", "espresso"], "two different classes, got 'espresso' twice"),
        (["--versus", "cup", "--target", "cup"], "two different classes"),
        (["--signed", "--style", "classic"], "no colours for what speaks against"),
        (["--device", "cuda:99"], "cuda"),
    ],
)
def test_errors_are_one_line_in_words_and_nothing_is_written(run, coffee, arguments, words):
    code, out, err = run("explain", coffee, *arguments)
    assert code == 1
    assert words in err and "Traceback" not in err
    assert out == "" and not list(Path().glob("*.jpg"))


def test_wrong_usage(run, coffee):
    for arguments in (["explain"], ["explain", str(coffee), "--score", "loggit"], ["explian"], ["explain", "--wrong"]):
        code, _, err = run(*arguments)
        assert code == 2 and "Traceback" not in err


def test_debug_shows_the_traceback(run, coffee):
    with pytest.raises(seewhy.SeewhyError, match="grad-cma"):
        run("explain", coffee, "--method", "grad-cma", "--debug")


def test_lists(run):
    code, out, _ = run("layers")
    assert code == 0
    assert "_blocks.0._depthwise_conv.static_padding" in out and "…" not in out
    [line] = [line for line in out.splitlines() if "<- default" in line]
    assert "1280 x 7 x 7" in line
    for command, words in (
        ("methods", ["grad-cam", "hires-cam", "layer-cam", "random-cam", "Selvaraju", "one pass", "cost"]),
        ("targets", ["class-score", "top", "negative", "class-difference", "finer", "region"]),
        ("models", ["lite0", "torchvision:", "timm:", "hf:", "file:", "python:"]),
        ("--version", [seewhy.__version__]),
        ("--help", ["explain", "demo", "layers", "models", "methods", "targets"]),
    ):
        code, out, err = run(command)
        assert (code, err) == (0, "")
        assert all(word in out for word in words), out


def test_demo_into_a_file_is_refused(run):
    Path("here.jpg").touch()
    code, _, err = run("demo", "--out", "here.jpg")
    assert code == 1
    assert "the folder here.jpg cannot be made" in err


def test_demo(run):
    code, out, err = run("demo", "--out", "pictures")
    assert (code, err) == (0, "")
    names = [f"{name}_cam.jpg" for name in ("cat", "coffee", "motorcycle", "rocket")]
    assert sorted(os.listdir("pictures")) == sorted([*names, "four_photos.jpg"])
    for words in ("tiger cat", "espresso", "towards the top left", "towards the bottom right", "four_photos.jpg"):
        assert words in out


def test_a_photo_that_the_model_cannot_take_costs_no_other(run, coffee, tmp_path, lite0):
    def forward(x):
        if seen.append(1) or len(seen) == 2:
            raise RuntimeError("Given groups=1, the kernel is larger than the input")
        return type(lite0.net).forward(lite0.net, x)

    seen = []
    shutil.copy(coffee, "other.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lite0.net, "forward", forward, raising=False)
        code, out, err = run("explain", coffee, "other.png", "--layer", "_blocks.15")
    assert code == 1
    assert "other.png: RuntimeError: Given groups=1" in err
    assert "coffee_cam.jpg" in out


def test_results_stay_on_stdout_while_a_bar_is_on_the_terminal(coffee, tmp_path):
    import pty

    ours, theirs = pty.openpty()
    command = [str(Path(sys.executable).with_name("seewhy")), "explain", str(coffee), str(coffee), "--json"]
    done = subprocess.run(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=theirs, text=True, timeout=300)
    os.close(theirs)
    assert done.returncode == 0
    assert [json.loads(line)["output"] for line in done.stdout.splitlines()] == ["coffee_cam.jpg", "coffee_cam_2.jpg"]
    assert b"explaining" in os.read(ours, 100_000)
    os.close(ours)


def test_as_a_real_command(coffee, tmp_path):
    command = [str(Path(sys.executable).with_name("seewhy")), "explain", str(coffee), "nowhere.jpg", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300)
    assert done.returncode == 1
    [line] = done.stdout.splitlines()
    assert json.loads(line)["targets"][0]["label"] == "espresso"
    assert done.stderr.splitlines()[0] == "error: nowhere.jpg does not exist"
    assert (tmp_path / "coffee_cam.jpg").exists()


def test_evaluate_prints_a_table_and_keeps_it(run, coffee):
    cat = embedded_photo("cat").path
    asked = ["evaluate", coffee, cat, "missing.jpg", "--methods", "grad-cam", "--metrics", "sparseness,average-drop"]
    code, out, err = run(*asked, "--out", "results")
    assert code == 1 and "grad-cam" in out and "random-cam (control)" in out and "2 of 3 photos, lite0" in out
    assert err.count("missing.jpg does not exist") == 1 and err.index("missing.jpg") < err.index("2 metrics: about")
    assert "photo 1 of 1" not in err and "1 of 3 photos could not be measured" in err
    assert sorted(os.listdir("results")) == ["table.csv", "table.json", "table.png"]
    rocket = embedded_photo("rocket").path
    code, again, err = run("evaluate", coffee, rocket, *asked[4:], "--out", "results", "--json")  # one is there already
    assert code == 0 and "1 photo, 3 methods, 2 metrics (1 of 2 already measured): about" in err
    whole = json.loads(again)
    assert (
        len(whole["measured"]) == 3 and json.loads(Path("results/table.json").read_text())["values"] == whole["values"]
    )
    rows = [row.split(",") for row in Path("results/table.csv").read_text().splitlines()]
    assert {row[0]: float(row[1]) for row in rows[1:]} == {
        m: found["sparseness"] for m, found in whole["values"].items()
    }
    assert run("evaluate", "missing.jpg", *asked[4:])[0] == 1
    code, out, err = run("evaluate", coffee, "-t", "1", "-t", "2", *asked[4:])
    assert code == 1 and "expected one --target here, got 1, 2: " in err and not out
    assert "a run of other seed" in run(*asked, "--seed", "1", "--out", "results")[2]
    assert "'pointing-game' needs annotations" in run("evaluate", coffee, "--metrics", "pointing-game")[2]
    assert "expected a folder" in run("evaluate", coffee, "--out", "table.csv")[2]


def test_an_interruption_before_the_first_photo_leaves_nothing(run, coffee, monkeypatch):
    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(seewhy, "evaluate", stop)
    os.mkdir("there")
    for folder in ("made/results", "there"):
        code, out, err = run("evaluate", coffee, "--out", folder)
        assert code == 130 and "before the first photo was measured: nothing is kept" in err and not out
    assert os.listdir() == ["there"]
    Path("file").write_text("")
    assert "the folder file cannot be made: a file of this name is there" in run("evaluate", coffee, "-o", "file")[2]


def test_a_terminal_cuts_no_name_and_no_number(run, coffee, monkeypatch):
    monkeypatch.setattr(_report, "out", lambda: Console(highlight=False, soft_wrap=True, width=60))
    metrics = "sparseness,complexity,average-drop,average-increase,drop-in-deletion"
    code, out, _ = run("evaluate", coffee, "--methods", "grad-cam", "--metrics", metrics)
    assert code == 0 and out.count("random-cam (control)") == 3 and "…" not in out
    assert all(name in out for name in metrics.split(","))
    assert all(len(line) <= 60 for line in out.split("1 photo")[0].splitlines())


def test_methods_and_metrics_take_their_options_after_colons(run, coffee):
    metrics = "deletion:step=50176, road:order=morf:percentiles=(20,80),road:order=lerf:percentiles=[20,80]"
    methods = "grad-cam,random-cam:seed=1,random-cam:seed=2"
    code, out, err = run("evaluate", coffee, "--methods", methods, "--metrics", metrics, "--json")
    assert code == 0 and "1 photo, 4 methods, 3 metrics: about" in err
    kept = json.loads(out)
    titles = ["deletion (step=50176)"]
    titles += [f"road (order={order}, percentiles=[20, 80])" for order in ("morf", "lerf")]
    assert list(kept["values"]["grad-cam"]) == titles
    assert kept["methods"] == ["grad-cam", "random-cam (seed=1)", "random-cam (seed=2)", "image-centre"]
    code, out, _ = run("evaluate", coffee, "--methods", "grad-cam", "--metrics", "deletion:step=50176")
    assert code == 0 and "deletion (step=50176) v" in out and "1 photo, lite0" in out
    for arguments, words in (
        (("--metrics", "insertion:steps=3"), "'insertion' has no option 'steps': it has step, kernel, sigma"),
        (("--metrics", "insertion:3584"), "expected NAME=VALUE, such as insertion:step=3584, got '3584'"),
        (("--methods", "grad-cam:channels=3"), "'grad-cam' has no option 'channels': it has none"),
        (("--metrics", "road:percentiles=10,20"), "stands in brackets, such as road:percentiles=(10,20)"),
        (
            ("--metrics", "sparseness", "--methods", "score-cam:channels=0"),
            "'score-cam (channels=0)': expected channels=",
        ),
    ):
        code, out, err = run("evaluate", coffee, *arguments)
        assert code == 1 and words in err and not out
    code, _, err = run("compare", coffee, "--methods", "grad-cam,score-cam:channels=2,score-cam:channels=3")
    assert code == 0 and "score-cam, score-cam: many passes" in err and os.path.exists("coffee_cam.jpg")


def test_classes_of_annotations_are_named_as_the_model_does(run, coffee, tmp_path):
    content = {
        "images": [{"id": 1, "file_name": Path(coffee).name}],
        "annotations": [{"id": i, "image_id": 1, "category_id": i, "bbox": [100, 100, 200, 100]} for i in (1, 2)],
        "categories": [{"id": 1, "name": "a hot drink"}, {"id": 2, "name": "table"}],
    }
    (tmp_path / "boxes.json").write_text(json.dumps(content))
    asked = ["evaluate", coffee, "--boxes", "boxes.json", "--methods", "grad-cam", "--metrics", "box-iou", "--json"]
    code, _, err = run(*asked)
    assert code == 1 and "unknown class 'a hot drink'" in err and "--class cat=tabby --class cat=282" in err
    mapped = ["--class", "a hot drink=espresso", "--class", "a hot drink=504", "--class", "table="]
    code, out, err = run(*asked, *mapped)
    assert code == 0 and sorted(json.loads(out)["measured"][str(coffee)]) == ["coffee mug", "espresso"], err
    (tmp_path / "classes.json").write_text(json.dumps({"a hot drink": ["espresso", 504], "table": []}))
    by_file = run(*asked, "--classes", "classes.json")[1]
    assert json.loads(by_file)["values"] == json.loads(out)["values"]
    code, out, _ = run(*asked, "--classes", "classes.json", "--class", "a hot drink=espresso")  # what is told wins
    assert code == 0 and list(json.loads(out)["measured"][str(coffee)]) == ["espresso"]
    (tmp_path / "odd.json").write_text('{"table": [1.5]}')
    for arguments, words in (
        (("--class", "table"), "expected --class NAME=LABEL"),
        (("--class", "chair=espresso"), "has no class chair: it has a hot drink, table"),
        (("--classes", "none.json"), "none.json cannot be read"),
        (("--classes", "odd.json"), "got [1.5] for 'table'"),
    ):
        code, _, err = run(*asked, *arguments)
        assert code == 1 and words in err, err
    assert "give --boxes too" in run("evaluate", coffee, "--class", "table=")[2]


def test_metrics_are_listed_with_their_direction_and_options(run):
    code, out, _ = run("metrics")
    assert code == 0
    assert "step=224 kernel=11 sigma=5.0" in out and "by='spearman'" in out
    for name in seewhy.metrics():
        assert name in out
    assert "higher" in out and "lower" in out and "arXiv:1806.07421" in out


STOPPED = """
import sys, time
from seewhy import cli
from seewhy.files import write_atomically

def wait(file):
    print("ready", flush=True)
    try:
        time.sleep(60)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None

cli.app = lambda _: write_atomically("out.txt", wait)
cli.main()
"""


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "error: interrupted\n"), (signal.SIGTERM, 143, "error: terminated\n")],
)
def test_what_is_stopped_ends_in_order(tmp_path, number, code, words):
    with started(STOPPED, tmp_path) as process:
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, words) and not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_ctrl_c_stays_ignored_where_the_caller_ignores_it(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)" + STOPPED
    with started(code, tmp_path) as process:
        process.send_signal(signal.SIGINT)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=1)
        process.terminate()
        assert process.wait(timeout=30) == 143


@contextmanager
def started(code: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """A Python that runs this, once it has said that it is ready."""
    both = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(Path(seewhy.__file__).parents[1])),
        **both,
    ) as process:
        try:
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()
