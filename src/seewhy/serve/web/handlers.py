"""What happens on the page when something is chosen: from its values to what it shows.

A photo that was shown to a model once stays with its visitor's session: other classes, methods and colours cost no
further pass. What goes wrong becomes words in place of the result.
"""

from collections.abc import Callable, Iterator
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

_QUIET: Any = gr.Progress()
_NONE: tuple[Any, ...] = ("", gr.update(choices=[], value=[]))
"""No predictions, and no classes to choose from."""


class Handlers:
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
            return [drawing.WELCOME, *_NONE]
        outputs = [gr.skip(), *_NONE]
        with self._problems(outputs):
            loaded = self.shelf.get(spec)
            wish = _wish([], method, other, layer)
            outputs[:] = _first_sight(self._explained(loaded, path, wish, request, progress), colours)
        return outputs

    def new_model(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Another model: its layers, and the photo anew; where it does not load, why."""
        outputs = [gr.skip()] * 7
        with self._problems(outputs):
            loaded = self.shelf.get(spec)
            method, other = method_of(loaded, method), NOTHING if loaded.own is not None else other
            outputs[3:] = (
                gr.update(**layers_of(loaded)),
                gr.update(value=method, interactive=loaded.own is None),
                gr.update(value=other, interactive=loaded.own is None),
                about(method, other, loaded),
            )
            if (path := _path(photo)) is not None:
                wish = _wish([], method, other, NOTHING)
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
            wish = _wish(chosen, method, other, layer)
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
            wish = _wish(chosen, method, other, layer)
            found = self._explained(self.shelf.get(spec), path, wish, request)
            look = {"colormap": colours, "opacity": opacity}
            session = self.sessions.of(_visitor(request))  # held: its folder goes with it
            file = session.folder() / f"{path.stem}_cam.png"
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
            wish = _wish(chosen, method, other, layer)
            session = self.sessions.of(_visitor(request))  # held: its folder goes with it
            found = self._explained(self.shelf.get(spec), path, wish, request)
            folder = session.folder()
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

        if loaded.own is not None:
            wish = Wish(wish.classes, (loaded.own.method,), None)
        for method in wish.methods if loaded.own is None else ():
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


def _wish(chosen: list[str] | None, method: str, other: str, layer: str) -> Wish:
    return Wish(tuple(int(c) for c in (chosen or ())[:MOST_CLASSES]), _methods(method, other), layer or None)


def _indices(explanation: Explanation) -> list[int]:
    return [target.index for target in explanation.targets[0] if target.index is not None]


def _methods(method: str, other: str | None) -> tuple[str, ...]:
    """One method, or two to compare."""
    return (method,) if not other or other == method else (method, other)


def method_of(loaded: Loaded, method: str) -> str:
    """The method that a model is asked by where this one was chosen."""
    return method if loaded.own is None else loaded.own.method


def told(method: str, other: str) -> list[Any]:
    """What the methods do, and whether there is a layer to choose."""
    at_layer = any(not catalog.about(name).at_input for name in _methods(method, other))
    return [about(method, other), gr.update(interactive=at_layer)]


def about(method: str, other: str, loaded: Loaded | None = None) -> str:
    """A line on each method, and on a model that takes no other."""
    lines = [drawing.hint(name, choices.about(name)) for name in _methods(method, other)]
    if loaded is not None and (own := loaded.own) is not None:
        words = f"It carries its own explanation, by {own.method} at the layer {own.layer}, and takes no other."
        lines.append(drawing.hint("This model", words))
    return "".join(lines)


def layers_of(loaded: Loaded) -> dict[str, Any]:
    offered = choices.layers(loaded) or [("found by the first photo", NOTHING)]
    return {"choices": offered, "value": loaded.default or NOTHING, "interactive": len(offered) > 1}


def _path(photo: Photo) -> Path | None:
    """Where Gradio laid a photo that was uploaded; it lets through no other path."""
    return None if photo is None or not photo.get("path") else Path(photo["path"])


def _visitor(request: gr.Request) -> str:
    return str(request.session_hash)
