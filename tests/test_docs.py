"""Docs that cannot go stale: README code runs, the help page is the program's help, docstring examples run."""

import doctest
import importlib
import pkgutil
import re
import runpy
from pathlib import Path

import pytest
from PIL import Image

import seewhy
from seewhy.photos import embedded_photo

ROOT = Path(__file__).parents[1]


def test_the_python_in_the_readme_runs(tmp_path, monkeypatch, coffee, capsys):
    [code] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip() and not line.startswith(("import", " "))]) <= 10
    monkeypatch.chdir(tmp_path)
    with Image.open(coffee) as photo:
        photo.convert("RGB").save("photo.jpg")
    names = {}
    exec(compile(code, "README.md", "exec"), names)
    assert names["heatmap"].shape == (400, 600)
    assert names["raw"].shape[:2] == (1, 1)
    assert "Predicted: " in capsys.readouterr().out
    assert Path("photo_cam.jpg").exists()


def test_the_commands_in_the_readme_are_understood():
    from typer.main import get_command

    from seewhy.cli import app

    text = (ROOT / "README.md").read_text(encoding="utf-8")
    code = "".join(re.findall(r"```\n(.*?)```", text, re.DOTALL))
    lines = [line.split("#")[0].split() for line in code.splitlines() if line.startswith("seewhy ")]
    assert len(lines) >= 6
    for _, command, *arguments in lines:
        get_command(app).commands[command].make_context(command, arguments)
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_python_in_the_page_of_methods_runs(tmp_path, monkeypatch, coffee, capsys):
    page = ROOT / "docs/methods.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Image.open(coffee) as photo:
        photo.convert("RGB").save("photo.jpg")
    names = {}
    for code in blocks:
        exec(compile(code, str(page), "exec"), names)
    assert names["apart"].labels == [["espresso rather than cup"]] and names["finer"].labels[0][0].count(",") == 2
    assert names["segment"].scores.shape == (2, 2)
    assert names["heatmap"].min() < 0 < names["heatmap"].max() <= 1
    assert "of all evidence is against it" in capsys.readouterr().out


def test_the_python_in_the_page_of_evaluation_runs(tmp_path, monkeypatch, coffee, capsys):
    page = ROOT / "docs/evaluation.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    for path, name in ((coffee, "photo.jpg"), (embedded_photo("rocket").path, "other.jpg")):
        with Image.open(path) as photo:
            photo.convert("RGB").save(name)
    names = {}
    for code in blocks:
        exec(compile(code, str(page), "exec"), names)
    assert names["table"].metrics == ("average-drop", "insertion (step=3584)")
    assert Path("table.png").exists() and names["checked"].verdict in ("passed", "doubtful", "failed")
    assert 0 < names["own"]["grad-cam", "share_above"] < 1 and names["own"]["grad-cam", "spread"] > 0
    assert names["merged"].counted() == 2 and Path("merged.csv").exists()
    assert "grad-cam" in capsys.readouterr().out


def test_the_python_in_the_page_of_the_web_page_runs(tmp_path, monkeypatch, coffee):
    page = ROOT / "docs/web.md"
    [code] = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with Image.open(coffee) as photo:
        photo.convert("RGB").save("photo.jpg")
    names = {}
    exec(compile(code, str(page), "exec"), names)
    assert names["espresso"].labels == [["espresso"]] and names["cup"].method == "layer-cam"
    assert all((ROOT / "docs" / name).stat().st_size < 250_000 for name in ("web.jpg", "web-dark.jpg"))


def test_the_commands_in_the_page_of_the_server_are_answered(tmp_path, coffee):
    import subprocess

    from serving import Server

    page = (ROOT / "docs/serve.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"^```\n(.*?)^```", page, re.DOTALL | re.MULTILINE) if "curl" in block]
    with Image.open(coffee) as photo:
        photo.convert("RGB").save(tmp_path / "photo.jpg")
    with Server("--no-web") as server:
        for block in blocks:
            script = block.replace("curl ", "curl --fail -sS ").replace("http://127.0.0.1:8000", server.url)
            done = subprocess.run(["bash", "-ec", script], cwd=tmp_path, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            said = page.split(block)[1].split("```")[2].strip()  # what the page says is answered, where it does
            if said.startswith('{"model') and "..." not in said:
                assert re.sub(r"\d+\.\d+", "", done.stdout) == re.sub(r"\d+\.\d+", "", said.replace("\n ", ""))
    assert len(blocks) >= 6
    for name, kind in (("cam.png", "PNG"), ("cam.jpg", "JPEG")):
        with Image.open(tmp_path / name) as picture:
            assert picture.format == kind and picture.width >= 600


def test_the_tables_of_the_page_of_evaluation_are_what_was_measured():
    made = runpy.run_path(str(ROOT / "docs/make.py"))
    page = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    assert made["with_tables"](page) == page, "run `make docs`"
    assert made["metrics_table"]() in page and made["measured_table"]() in page


def test_the_table_of_the_page_of_exports_is_what_was_measured():
    made = runpy.run_path(str(ROOT / "docs/make.py"))
    page = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    assert made["with_tables"](page) == page and made["exports_table"]() in page, "run `make docs`"


def test_the_tables_of_the_page_of_methods_are_what_the_catalogue_says():
    made = runpy.run_path(str(ROOT / "docs/make.py"))
    page = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    assert made["methods_table"]() in page and made["targets_table"]() in page, "run `make docs`"
    for cost in {seewhy.catalog.about(name).cost for name in seewhy.methods()}:
        assert f"\n| {cost} | " in page
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", page))
    assert named <= {*seewhy.methods(), *seewhy.targets()}
    assert (ROOT / "docs/methods.jpg").stat().st_size < 500_000


def test_the_help_page_is_what_the_program_says():
    page = runpy.run_path(str(ROOT / "docs/make.py"))["cli_page"]()
    assert (ROOT / "docs/cli.md").read_text(encoding="utf-8") == page, "run `make docs`"


def test_files_that_the_docs_name_exist():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / link).exists(), f"{page.name}: {link}"
    assert (ROOT / "docs/demo.jpg").stat().st_size < 250_000
    tutorial = (ROOT / "docs/keras.md").read_text(encoding="utf-8")
    pictures = sorted(file.name for file in (ROOT / "docs").glob("keras-*.jpg"))
    assert pictures == sorted(set(re.findall(r"\]\((keras-\w+\.jpg)\)", tutorial)))  # none is left over
    assert all((ROOT / "docs" / name).stat().st_size < 150_000 for name in pictures)


MODULES = ["seewhy", *(m.name for m in pkgutil.walk_packages(seewhy.__path__, "seewhy."))]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    module = importlib.import_module(name)
    failed, _ = doctest.testmod(module, optionflags=doctest.ELLIPSIS)
    assert failed == 0


def test_every_public_function_and_class_has_an_example():
    words = {"SeewhyError", "SeewhyWarning", "LayerInfo", "Prediction", "__version__"}
    without = [name for name in seewhy.__all__ if ">>>" not in (getattr(seewhy, name).__doc__ or "")]
    assert set(without) == words
