"""The page: what stands where, and what happens when something is chosen.

What it shows is made in drawing.py, what there is to choose from in choices.py. A photo that was shown to a model once
stays with its visitor's session: other classes, methods and colours cost no further pass, and opacity nothing at all.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import gradio as gr

from seewhy import catalog
from seewhy.errors import SeewhyError
from seewhy.explanation import Explanation
from seewhy.explanations import Explanations
from seewhy.serve.web import choices, drawing
from seewhy.serve.web.models import Loaded, Shelf
from seewhy.serve.web.sessions import Sessions, Superseded, Wish

Photo: TypeAlias = dict[str, Any] | None
"""What Gradio says of the photo: where it laid it."""

MOST_CLASSES = 4
"""How many classes stand side by side at most."""
NOTHING = ""
"""What is chosen where no second method is compared, and where the first photo will tell the layer."""
AT_ONCE = 4
"""How many visitors are answered at the same time; others wait for their turn."""

_QUIET: Any = gr.Progress()
_NONE: tuple[Any, ...] = ("", gr.update(choices=[], value=[]))
"""No predictions, and no classes to choose from."""

# a bar of the predictions was pressed
_BARS = """
element.addEventListener('click', (event) => {
  const bar = event.target.closest('[data-class]');
  if (bar) trigger('select', {index: bar.dataset.class});
});
"""
_LIVE = "element.setAttribute('aria-live', 'polite');"  # what is new is read out
_OPACITY = "(value) => { document.documentElement.style.setProperty('--seewhy-opacity', value); }"
# what was saved lies behind two buttons that nobody sees
_DOWNLOAD = """
() => setTimeout(() => {
  for (const button of document.querySelectorAll('.sw-file')) (button.querySelector('a, button') ?? button).click();
}, 150)
"""


def build(
    shelf: Shelf,
    sessions: Sessions,
    examples: Sequence[Path],
    in_words: Callable[[Exception], str],
) -> gr.Blocks:
    """The page as Gradio's blocks; `in_words` says what went wrong where seewhy did not foresee it."""
    handle = _Handlers(shelf, sessions, in_words)
    first = shelf.get(shelf.offered[0])
    methods = choices.methods(shelf.methods)
    start = "grad-cam" if shelf.methods is None or "grad-cam" in shelf.methods else methods[0][1]
    with gr.Blocks(title="seewhy", analytics_enabled=False, delete_cache=(3600, 3600)) as page:
        gr.HTML('<div class="sw-head"><h1>seewhy</h1><p>See where a vision model looked.</p></div>', elem_id="head")
        with gr.Row(equal_height=False):
            with gr.Column(scale=4, min_width=300):
                photo = gr.Image(
                    label="Photo",
                    type="filepath",
                    image_mode=None,
                    sources=["upload", "webcam", "clipboard"],
                    height=260,
                    buttons=[],
                    elem_id="photo",
                    placeholder="Drop a photo here\n- or -\nclick to choose one",
                )
                if examples:
                    gr.Examples([[str(path)] for path in examples], photo, label="Examples", cache_examples=False)
                bars = gr.HTML("", js_on_load=_BARS, elem_id="predictions")
            with gr.Column(scale=8, min_width=300):
                result = gr.HTML(drawing.WELCOME, js_on_load=_LIVE, elem_id="result")
                with gr.Row():
                    picture = gr.Button("Download the picture", size="sm", elem_id="picture")
                    raw = gr.Button("Download the raw map (.npz)", size="sm", elem_id="raw")
                with gr.Group():
                    classes = gr.Dropdown(
                        [],
                        value=[],
                        label="Classes",
                        info=f"Any class by its name; up to {MOST_CLASSES} side by side.",
                        multiselect=True,
                        max_choices=MOST_CLASSES,
                        elem_id="classes",
                    )
                    with gr.Row():
                        method = gr.Dropdown(methods, value=start, label="Method", min_width=230, elem_id="method")
                        other = gr.Dropdown(
                            [("nothing", NOTHING), *methods],
                            value=NOTHING,
                            label="Compare with",
                            min_width=230,
                            elem_id="other",
                        )
                    about = gr.HTML(_about(start, NOTHING), elem_id="about")
                    with gr.Row():
                        layer = gr.Dropdown(**_layers(first), label="Layer", min_width=230, elem_id="layer")
                        model = gr.Dropdown(
                            list(shelf.offered),
                            value=shelf.offered[0],
                            label="Model",
                            allow_custom_value=shelf.is_open,
                            min_width=230,
                            elem_id="model",
                        )
                    with gr.Row():
                        colours = gr.Dropdown(
                            list(choices.COLORMAPS),
                            value="viridis",
                            label="Colours",
                            min_width=230,
                            elem_id="colours",
                        )
                        opacity = gr.Slider(
                            0, 1, value=0.6, step=0.05, label="Opacity", min_width=230, elem_id="opacity"
                        )
        files = [gr.DownloadButton("file", visible="hidden", elem_classes="sw-file") for _ in range(2)]

        asked = [photo, model, classes, method, other, layer, colours]
        shown = [result, bars, classes, layer]
        common: dict[str, Any] = {
            "concurrency_limit": AT_ONCE,
            "show_progress_on": result,
            "trigger_mode": "multiple",
            "preprocess": False,  # seewhy opens the photo itself, and has words for what is none
            "api_visibility": "private",
        }
        photo.change(handle.new_photo, asked, shown, **common)
        model.input(handle.new_model, asked, shown, **common)
        gr.on(
            [classes.input, method.input, other.input, layer.input, colours.input],
            handle.chosen,
            asked,
            [result, bars],
            **common,
        )
        gr.on(
            [method.input, other.input],
            _told,
            [method, other],
            [about, layer],
            queue=False,
            show_progress="hidden",
            preprocess=False,
            api_visibility="private",
        )
        bars.select(_pressed, None, classes, queue=False, show_progress="hidden", api_visibility="private").then(
            handle.chosen, asked, [result, bars], **common
        )
        opacity.change(None, opacity, None, js=_OPACITY, api_visibility="private")
        for button, save in ((picture, handle.save_picture), (raw, handle.save_maps)):
            button.click(save, [*asked, opacity], [result, *files], show_progress="minimal", **common).then(
                None, None, None, js=_DOWNLOAD, api_visibility="private"
            )
        page.unload(handle.gone)
    return page


class _Handlers:
    """What happens when something is chosen: from the page's values to what it shows."""

    def __init__(self, shelf: Shelf, sessions: Sessions, in_words: Callable[[Exception], str]) -> None:
        self.shelf, self.sessions, self.in_words = shelf, sessions, in_words

    def new_photo(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Another photo: what is predicted, and what speaks for the best class."""
        if (path := _path(photo)) is None:
            self.sessions.drop(_visitor(request))
            return [drawing.WELCOME, *_NONE, gr.skip()]
        outputs = [gr.skip(), *_NONE, gr.skip()]
        with self._problems(outputs):
            loaded = self.shelf.get(spec)
            wish = Wish((), _methods(method, other), layer or None)
            outputs[:3] = _first_sight(self._explained(loaded, path, wish, request, progress), colours)
        return outputs

    def new_model(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Another model: its layers, and the photo anew; where it does not load, why."""
        outputs = [gr.skip()] * 4
        with self._problems(outputs):
            loaded = self.shelf.get(spec)
            outputs[3] = gr.update(**_layers(loaded))
            if (path := _path(photo)) is not None:
                wish = Wish((), _methods(method, other), None)
                outputs[:3] = _first_sight(self._explained(loaded, path, wish, request, progress), colours)
        return outputs

    def chosen(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Other classes, another method, layer or colours of the same photo."""
        outputs = [gr.skip(), gr.skip()]
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs):
            loaded = self.shelf.get(spec)
            wish = Wish(tuple(int(c) for c in chosen), _methods(method, other), layer or None)
            found = self._explained(loaded, path, wish, request, progress)
            outputs[0] = drawing.results(found, colours)
            outputs[1] = drawing.bars(found[0].predictions(0), _indices(found[0]))
        return outputs

    def save_picture(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        opacity: float, request: gr.Request,
    ) -> list[Any]:  # fmt: skip
        """What is seen as a picture, as large as the photo."""
        outputs = [gr.skip(), None, None]
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs):
            wish = Wish(tuple(int(c) for c in chosen), _methods(method, other), layer or None)
            found = self._explained(self.shelf.get(spec), path, wish, request)
            look = {"colormap": colours, "opacity": opacity}
            file = self.sessions.of(_visitor(request)).folder() / f"{path.stem}_cam.png"
            drawn = found[0] if len(found) == 1 else Explanations(tuple(found), wish.methods)
            outputs[1] = str(drawn.save(file, **look))
        return outputs

    def save_maps(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        opacity: float, request: gr.Request,
    ) -> list[Any]:  # fmt: skip
        """The raw maps, for each method a file that seewhy.open reads."""
        outputs = [gr.skip(), None, None]
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs):
            wish = Wish(tuple(int(c) for c in chosen), _methods(method, other), layer or None)
            folder = self.sessions.of(_visitor(request)).folder()
            found = self._explained(self.shelf.get(spec), path, wish, request)
            for place, one in enumerate(found, start=1):
                outputs[place] = str(one.save(folder / f"{path.stem}_{one.method}.npz"))
        return outputs

    def gone(self, request: gr.Request) -> None:
        """The visitor closed the page."""
        self.sessions.drop(_visitor(request))

    # ---- within ------------------------------------------------------------------------------------------

    def _explained(
        self, loaded: Loaded, path: Path, wish: Wish, request: gr.Request, progress: gr.Progress | None = None
    ) -> list[Explanation]:
        def tell(doing: str, done: int, total: int) -> None:
            if progress is not None:
                progress((done, total), desc=doing)

        for method in wish.methods:
            if self.shelf.methods is not None and method not in self.shelf.methods:
                raise SeewhyError(f"the method {method!r} is not offered here")
        return self.sessions.of(_visitor(request)).ask(loaded, path, wish, tell)

    @contextmanager
    def _problems(self, outputs: list[Any]) -> Iterator[None]:
        """What goes wrong becomes words in place of the result."""
        try:
            yield
        except Superseded:
            pass  # another answer is under way
        except SeewhyError as error:
            outputs[0] = drawing.problem(str(error))
        except Exception as error:
            outputs[0] = drawing.problem(self.in_words(error))


def _first_sight(found: list[Explanation], colours: str) -> list[Any]:
    one = found[0]
    indices = _indices(one)
    offered = [] if one.probabilities is None else choices.classes(one.names, one.probabilities[0])
    return [
        drawing.results(found, colours),
        drawing.bars(one.predictions(0), indices),
        gr.update(choices=offered, value=[str(c) for c in indices]),
    ]


def _indices(explanation: Explanation) -> list[int]:
    return [target.index for target in explanation.targets[0] if target.index is not None]


def _methods(method: str, other: str | None) -> tuple[str, ...]:
    """One method, or two to compare."""
    return (method,) if not other or other == method else (method, other)


def _told(method: str, other: str) -> list[Any]:
    """What the methods do, and whether there is a layer to choose."""
    at_layer = any(not catalog.about(name).at_input for name in _methods(method, other))
    return [_about(method, other), gr.update(interactive=at_layer)]


def _about(method: str, other: str) -> str:
    return "".join(
        f'<p class="sw-hint">{drawing.hint(name, choices.about(name))}</p>' for name in _methods(method, other)
    )


def _layers(loaded: Loaded) -> dict[str, Any]:
    offered = choices.layers(loaded) or [("found by the first photo", NOTHING)]
    return {"choices": offered, "value": loaded.default or NOTHING, "interactive": len(offered) > 1}


def _pressed(event: gr.EventData) -> list[str]:
    """The class whose bar was pressed."""
    return [str(int(event.index))]


def _path(photo: Photo) -> Path | None:
    """Where Gradio laid a photo that was uploaded; it lets through no other path."""
    return None if photo is None or not photo.get("path") else Path(photo["path"])


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
