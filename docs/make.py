"""Make what the docs show: the pictures, the tables, the page of the command line's help. Run by `make docs`."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

DOCS = Path(__file__).parent


def demo_picture() -> None:
    """docs/demo.jpg: the four photos in one, explained for four classes, kept small."""
    import seewhy
    from seewhy.photos import explain_grid
    from seewhy.render import figure

    sheet = explain_grid(seewhy.load("lite0")).figure()
    figure.save(sheet.resize((1200, round(1200 * sheet.height / sheet.width))), DOCS / "demo.jpg")


def keras_pictures() -> None:
    """docs/keras-*.jpg: the pictures of the Keras tutorial, by the embedded model."""
    import seewhy
    from seewhy.photos import embedded_photo
    from seewhy.render import figure

    model = seewhy.load("keras:lite0")
    explainer = seewhy.Explainer(model)
    cat, coffee = embedded_photo("cat"), embedded_photo("coffee")

    one = explainer(coffee)
    looks = figure.panels(
        [one.overlay(style="classic"), one.overlay()], ['style="classic"', 'style="blend", the default']
    )
    figure.save(looks, DOCS / "keras-looks.jpg")
    figure.save(_steps(model), DOCS / "keras-steps.jpg")
    questions = explainer(cat, ["tiger cat", "Egyptian cat", "limousine"]).figure()
    figure.save(
        questions.resize((1200, round(1200 * questions.height / questions.width))), DOCS / "keras-questions.jpg"
    )
    both = explainer([coffee, cat], "espresso")
    scales: tuple[Any, ...] = ("image", "batch")
    drawn = [both.overlay(i, 0, scale=scale) for scale in scales for i in range(2)]
    captions = [f'espresso? scale="{scale}"' for scale in scales for _ in range(2)]
    figure.save(figure.panels(drawn, captions, columns=4, cell=320), DOCS / "keras-scale.jpg")


def _steps(model: Any) -> Any:
    """What each step of Grad-CAM makes of the four photos in one, asked for espresso, on one sheet."""
    from dataclasses import replace

    import numpy as np
    from PIL import Image

    import seewhy
    from seewhy.maps import spatial_mean
    from seewhy.methods.grad_cam import grad_cam
    from seewhy.photos import grid
    from seewhy.render import figure
    from seewhy.render.colormap import colours

    kept: list[Any] = []

    def keeping(capture: Any) -> Any:  # a method is shown all that was captured
        kept[:] = capture, grad_cam(capture)
        return kept[1]

    whole = replace(model.preprocess, size=(448, 448), resize=None)
    explanation = seewhy.explain(model, grid(448), "espresso", method=keeping, preprocess=whole)
    capture, maps = kept
    activations, combined = capture.activations[0], maps[0, 0]
    part = spatial_mean(capture.gradients)[0, 0][:, None, None] * activations  # what each channel adds to the map
    row, column = np.unravel_index(combined.argmax(), combined.shape)
    speaks, against = int(part[:, row, column].argmax()), int(part.sum((1, 2)).argmin())
    most = float(abs(combined).max())

    def cells(values: Any, low: float, high: float, colormap: str) -> Any:
        drawn = colours(np.clip((values - low) / (high - low), 0, 1).astype(np.float32), colormap)
        return Image.fromarray(drawn).resize((448, 448), Image.Resampling.NEAREST)

    captioned = {
        "what the model sees": grid(448).image,
        f"1. capture: channel {speaks} of {len(activations)}, which speaks for espresso": cells(
            activations[speaks], 0, 6, "gray"
        ),
        f"channel {against}, which speaks against": cells(activations[against], 0, 6, "gray"),
        "2. weigh, 3. combine all channels: red for, blue against": cells(combined, -most, most, "RdBu_r"),
        "4. rectify: what speaks for espresso": cells(explanation.maps[0, 0], 0, most, "viridis"),
        "5. result: laid on the photo": explanation.overlay(),
    }
    return figure.panels(list(captioned.values()), list(captioned), columns=3, cell=280)


SMALL = {"channels": 24, "masks": 400, "samples": 6, "steps": 6, "form": "exp"}
"""What methods of many passes are asked to do for one small picture, where they have the option."""


def methods_picture() -> None:
    """docs/methods.jpg: every method of the catalogue on the cat, as panels, kept small."""
    from dataclasses import replace
    from inspect import signature

    import seewhy
    from seewhy import catalog
    from seewhy.photos import embedded_photo
    from seewhy.render import figure

    model, cat = seewhy.load("lite0"), embedded_photo("cat").image
    left = (cat.width - cat.height) // 2
    square = cat.resize((224, 224), box=(left, 0, left + cat.height, cat.height))
    whole = replace(model.preprocess, resize=None)  # the model is shown all of it
    pictures, captions = [square], ["the photo"]
    for name in catalog.names("methods"):
        method = catalog.get("methods", name)
        options = {option: value for option, value in SMALL.items() if option in signature(method).parameters}
        explanation = seewhy.explain(model, square, "tiger cat", method=name, preprocess=whole, **options)
        pictures.append(explanation.overlay(opacity=0.75))
        captions.append(name)
    sheet = figure.panels(pictures, captions, columns=6, cell=172)
    figure.save(sheet, DOCS / "methods.jpg")


STEPS = {"insertion": {"step": 3584}, "deletion": {"step": 3584}}
"""A photo of 224 by 224 pixels in 14 steps in place of RISE's 224."""
FEW = {"channels": 16, "masks": 150, "samples": 3, "steps": 3}
"""What methods of many passes are asked to do when all of them are measured."""
MEASURED = (
    "average-drop", "average-increase", "drop-in-deletion", "insertion", "deletion", "road", "grid-pointing-game",
    "sparseness", "complexity", "parameter-randomisation", "class-sensitivity",
)  # fmt: skip


def evaluation() -> None:
    """docs/evaluation.csv and .json: every method on the embedded photos; takes a quarter of an hour."""
    from inspect import signature

    import seewhy
    from seewhy import catalog
    from seewhy.photos import FILES, embedded_photo

    methods = []
    for name in catalog.names("methods"):
        known = signature(catalog.get("methods", name)).parameters
        methods.append((name, {option: value for option, value in FEW.items() if option in known}))
    photos = [embedded_photo(name).image for name in FILES]
    state = DOCS / "evaluation.json"  # where it was interrupted it goes on
    metrics = [(name, STEPS.get(name, {})) for name in MEASURED]
    table = seewhy.evaluate(seewhy.load("lite0"), photos, methods=methods, metrics=metrics, state=state)
    table.save(DOCS / "evaluation.csv")


def evaluation_picture() -> None:
    """docs/evaluation.png: the numbers of docs/evaluation.csv, as the figure of the table shows them."""
    import csv

    import numpy as np

    from seewhy.evaluate._columns import column
    from seewhy.evaluate._controls import CONTROLS
    from seewhy.evaluate._drawing import draw
    from seewhy.photos import FILES
    from seewhy.render import figure

    with (DOCS / "evaluation.csv").open(encoding="utf-8") as file:
        (_, *titles), *rows = csv.reader(file)
    columns = [column((name, STEPS.get(name, {}))) for name in MEASURED]
    if titles != [c.title for c in columns]:
        raise SystemExit("docs/evaluation.csv has other metrics: measure anew, python docs/make.py evaluation")
    values = np.asarray([[float(number or "nan") for number in numbers] for _, *numbers in rows])
    methods, better = [name for name, *_ in rows], [c.better for c in columns]
    drawn = draw(values, methods, CONTROLS, titles, better, f"{len(FILES)} photos, lite0")
    figure.save(drawn, DOCS / "evaluation.png")


def web_pictures() -> None:
    """docs/web.jpg and docs/web-dark.jpg: the page of `seewhy web` in Chromium, as a visitor sees it."""
    import io

    from PIL import Image

    from seewhy.render import figure
    from seewhy.serve.web import AnyModel, launch

    sys.path.insert(0, str(DOCS.parent / "tests"))
    import browser

    page, address = launch(AnyModel(["lite0"]), wait=False)

    def wait(driver: Any, script: str) -> None:
        until = f"const done = arguments[0]; const look = () => ({script}) ? done() : setTimeout(look, 50); look();"
        driver.execute_async_script(until)

    def photographed(driver: Any, name: str) -> None:
        driver.execute_async_script("setTimeout(arguments[0], 800)")  # until nothing moves
        shot = Image.open(io.BytesIO(driver.get_screenshot_as_png())).convert("RGB")
        figure.save(shot.resize((1000, round(1000 * shot.height / shot.width)), Image.Resampling.LANCZOS), DOCS / name)

    def visited(driver: Any, example: int) -> None:
        driver.set_script_timeout(60)
        driver.get(address)
        wait(driver, "document.querySelectorAll('button.gallery-item').length == 4")
        driver.find_elements("css selector", "button.gallery-item")[example].click()
        wait(driver, "document.querySelectorAll('.sw-heat').length == 1")

    def picked(driver: Any, field: str, typed: str, option: str) -> None:
        box = driver.find_element("css selector", f"#{field} input")
        box.click()
        box.send_keys(typed)
        wait(driver, "document.querySelectorAll('ul[role=listbox] li').length")
        choices = driver.find_elements("css selector", "ul[role=listbox] li")
        next(choice for choice in choices if option in choice.text).click()
        wait(driver, "document.querySelectorAll('.sw-heat').length == 2")

    try:
        with browser.open_browser((1280, 1160)) as driver:
            visited(driver, 2)
            picked(driver, "classes", "disk", "disk brake")
            driver.execute_script("document.activeElement.blur()")
            photographed(driver, "web.jpg")
        with browser.open_browser((1280, 1160), dark=True) as driver:
            visited(driver, 3)
            picked(driver, "other", "", "layer-cam")
            driver.execute_script("document.activeElement.blur()")
            photographed(driver, "web-dark.jpg")
    finally:
        page.close()


def metrics_table() -> str:
    """The table of metrics in docs/evaluation.md."""
    from seewhy import catalog
    from seewhy.measure import metric_info

    rows = ["| metric | what it measures | better | needs | options | paper |", "| --- | --- | --- | --- | --- | --- |"]
    for name in catalog.names("metrics"):
        info = metric_info(catalog.get("metrics", name))
        paper = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", info.paper)
        line, needs = catalog.summary("metrics", name), ", ".join(info.needs)
        options = ", ".join(f"`{option}`" for option in catalog.options("metrics", name))
        rows.append(f"| `{name}` | {line} | {info.better} | {needs} | {options} | {paper} |")
    return "\n".join(rows)


def measured_table() -> str:
    """The numbers of docs/evaluation.csv as the table of docs/evaluation.md, controls last."""
    import csv

    with (DOCS / "evaluation.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    controls = ("random-cam", "image-centre")
    rows.sort(key=lambda row: row[0] in controls)
    lines = [f"| {' | '.join(head)} |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    for name, *numbers in rows:
        said = [f"{float(number):.3g}" if number else "" for number in numbers]
        lines.append(f"| {'*' + name + '* (control)' if name in controls else name} | {' | '.join(said)} |")
    return "\n".join(lines)


def exports_table() -> str:
    """The numbers of docs/exports.csv as the table of docs/export.md."""
    import csv

    with (DOCS / "exports.csv").open(encoding="utf-8") as file:
        head, *rows = csv.reader(file)
    lines = [f"| {' | '.join(head)} |", "| --- | --- | --- " + "| ---: " * (len(head) - 3) + "|"]
    lines += [f"| {family} | `{model}` | `{layer}` | {' | '.join(seen)} |" for family, model, layer, *seen in rows]
    return "\n".join(lines)


def methods_table() -> str:
    """The table in docs/methods.md: what every method of the catalogue says of itself."""
    from seewhy import catalog

    rows = ["| method | what it does | looks at | cost | options | paper |", "| --- | --- | --- | --- | --- | --- |"]
    for name in catalog.names("methods"):
        options = ", ".join(f"`{option}`" for option in catalog.options("methods", name))
        info = catalog.about(name)
        at = "the input" if info.at_input else "a layer, and the input" if info.pixels else "a layer"
        paper = re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", info.paper)
        paper = re.sub(r"doi:(\S+)", r"[doi:\1](https://doi.org/\1)", paper)
        line = catalog.summary("methods", name).replace("|", "\\|")
        rows.append(f"| `{name}` | {line} | {at} | {info.cost} | {options} | {paper} |")
    return "\n".join(rows)


def targets_table() -> str:
    """The table of targets in docs/methods.md."""
    from seewhy import catalog

    rows = ["| target | what it asks |", "| --- | --- |"]
    names = catalog.names("targets")
    return "\n".join([*rows, *(f"| `{name}` | {catalog.summary('targets', name)} |" for name in names)])


def with_tables(page: str) -> str:
    """A page with its tables made anew, each between <!-- NAME --> and <!-- end -->."""
    for name, table in (
        ("methods", methods_table),
        ("targets", targets_table),
        ("metrics", metrics_table),
        ("measured", measured_table),
        ("exports", exports_table),
    ):
        page = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=table: m[1] + t() + "\n" + m[2], page, flags=re.DOTALL
        )
    return page


def cli_page() -> str:
    """docs/cli.md: the help of every command, as `seewhy COMMAND --help` prints it."""
    from seewhy.cli import app

    command = get_command(app)
    context = typer.Context(command, info_name="seewhy", terminal_width=100)
    parts = ["# The command line", "Made by `make docs`; a test holds it against the program.", _help(command, context)]
    for name, sub in sorted(command.commands.items()):
        inner = typer.Context(sub, info_name=name, parent=context, terminal_width=100)
        parts += [f"## seewhy {name}", _help(sub, inner)]
    return "\n\n".join(parts) + "\n"


def _help(command: Any, context: typer.Context) -> str:
    lines = command.get_help(context).splitlines()
    return "```\n" + "\n".join(re.sub(r"\s+$", "", line) for line in lines).strip("\n") + "\n```"


if __name__ == "__main__":
    (DOCS / "cli.md").write_text(cli_page(), encoding="utf-8")
    if "evaluation" in sys.argv:
        evaluation()
    evaluation_picture()
    if "exports" in sys.argv:  # takes some minutes
        from exports import measure

        measure()
    if "page" in sys.argv:  # needs a browser and npm
        from page import picture

        picture()
    web_pictures()
    for page in (DOCS / "methods.md", DOCS / "evaluation.md", DOCS / "export.md"):
        page.write_text(with_tables(page.read_text(encoding="utf-8")), encoding="utf-8")
    demo_picture()
    methods_picture()
    os.environ["KERAS_BACKEND"] = "tensorflow"  # before Keras is imported
    keras_pictures()
    print("made docs/cli.md, the tables of docs/methods.md, and the pictures", file=sys.stderr)
