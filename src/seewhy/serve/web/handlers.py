"""What happens on the page when something is chosen: from its values to what it shows.

A photo that was shown to a model once stays with its visitor's session: other classes, methods and colours cost no
further pass. What goes wrong becomes words in place of the result.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias
from zipfile import ZipFile

import gradio as gr

from seewhy import catalog
from seewhy.errors import PhotoError, SeewhyError
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
_NONE: tuple[Any, ...] = ("", gr.update(choices=[], value=[]), *[gr.update(interactive=False)] * 2)
"""No predictions, no classes to choose from, and neither a picture nor a map to download."""


class Handlers:
    """What happens when something is chosen: from the page's values to what it shows."""

    def __init__(self, shelf: Shelf, sessions: Sessions, in_words: Callable[[Exception], str]) -> None:
        self.shelf, self.sessions, self.in_words = shelf, sessions, in_words

    def no_photo(self, request: gr.Request) -> list[Any]:
        """The photo was taken away."""
        self.sessions.drop(_visitor(request))
        return [drawing.WELCOME, *_NONE]

    def new_photo(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Another photo: what is predicted, and what speaks for the best class; what is no photo is taken away."""
        if (path := _path(photo)) is None:
            return [gr.skip()] * 6
        outputs = [gr.skip(), *_NONE, gr.skip()]
        with self._problems(outputs, request):
            loaded = self.shelf.get(spec)
            wish = _wish([], method, other, layer)
            try:
                found = self._explained(loaded, path, wish, request, progress)
            except PhotoError:
                outputs[5] = None
                raise
            outputs[:5] = self._first_sight(found, colours, request)
        return outputs

    def new_model(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        before: str, request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Another model: its layers, and the photo anew; where it does not load, why, and the one before stays."""
        outputs, path = [gr.skip()] * 11, _path(photo)
        try:
            loaded = self.shelf.get(spec)
        except Exception as error:
            problem = drawing.problem(self._words(error), f"The model stays {before}.")
            outputs[0], outputs[9] = problem, before
            self.sessions.of(_visitor(request)).drawn = None  # what is chosen next takes the words away
            if path is not None:
                with self._problems(outputs, request):
                    wish = _wish(chosen, method, other, layer)
                    found = self._explained(self.shelf.get(before), path, wish, request, progress)
                    outputs[0] = problem + drawing.results(found, colours)
            return outputs
        method, other = method_of(loaded, method), NOTHING if loaded.own is not None else other
        outputs[5:] = (
            gr.update(**layers_of(loaded)),
            gr.update(value=method, interactive=loaded.own is None),
            gr.update(value=other, interactive=loaded.own is None),
            about(method, other, loaded),
            gr.skip(),
            spec,
        )
        if path is not None:
            seen = [gr.skip(), *_NONE]
            with self._problems(seen, request):
                found = self._explained(loaded, path, _wish([], method, other, NOTHING), request, progress)
                seen[:] = self._first_sight(found, colours, request)
            outputs[:5] = seen
        return outputs

    def chosen(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        request: gr.Request, progress: gr.Progress = _QUIET,
    ) -> list[Any]:  # fmt: skip
        """Other classes, another method, layer or colours of the same photo; without classes, the best one.

        Nothing is drawn anew where the page shows it already: the page also tells of classes that it was told itself.
        """
        outputs = [gr.skip()] * 3
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs, request):
            if len(chosen or ()) > MOST_CLASSES:
                gr.Warning(f"Up to {MOST_CLASSES} classes are shown: take one away first.")
            found = self._explained(self.shelf.get(spec), path, _wish(chosen, method, other, layer), request, progress)
            one, session = found[0], self.sessions.of(_visitor(request))
            shown = [str(c) for c in _indices(one)]
            if one.probabilities is not None and shown != chosen:
                outputs[2] = gr.update(value=shown)
            if session.drawn is None or session.drawn[0] is not found or session.drawn[1] != colours:
                outputs[0] = drawing.results(found, colours)
                outputs[1] = drawing.bars(one.predictions(0), _indices(one))
                session.drawn = (found, colours)
        return outputs

    def save_picture(
        self, photo: Photo, spec: str, chosen: list[str], method: str, other: str, layer: str, colours: str,
        opacity: float, request: gr.Request,
    ) -> list[Any]:  # fmt: skip
        """What is seen as a picture: one heatmap as large as the photo, several on a sheet."""
        outputs = [gr.skip(), None]
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs, request):
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
        """The raw maps, for each method a file that seewhy.open reads; several of them in a ZIP archive."""
        outputs = [gr.skip(), None]
        if (path := _path(photo)) is None:
            return outputs
        with self._problems(outputs, request):
            wish = _wish(chosen, method, other, layer)
            session = self.sessions.of(_visitor(request))  # held: its folder goes with it
            found = self._explained(self.shelf.get(spec), path, wish, request)
            folder = session.folder()
            files = [one.save(folder / f"{path.stem}_{one.method}.npz") for one in found]
            outputs[1] = str(files[0] if len(files) == 1 else _together(files, folder / f"{path.stem}_maps.zip"))
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

    def _first_sight(self, found: list[Explanation], colours: str, request: gr.Request) -> list[Any]:
        one = found[0]
        indices = _indices(one)
        offered = [] if one.probabilities is None else choices.classes(one.names, one.probabilities[0])
        self.sessions.of(_visitor(request)).drawn = (found, colours)
        return [
            drawing.results(found, colours),
            drawing.bars(one.predictions(0), indices),
            gr.update(choices=offered, value=[str(c) for c in indices]),
            *[gr.update(interactive=True)] * 2,
        ]

    @contextmanager
    def _problems(self, outputs: list[Any], request: gr.Request) -> Iterator[None]:
        """What goes wrong becomes words in place of the result."""
        try:
            yield
        except Superseded:
            outputs[:] = [gr.skip()] * len(outputs)  # another answer is under way
        except Exception as error:
            outputs[0] = drawing.problem(self._words(error))
            self.sessions.of(_visitor(request)).drawn = None

    def _words(self, error: Exception) -> str:
        return str(error) if isinstance(error, SeewhyError) else self.in_words(error)


def _together(files: list[Path], path: Path) -> Path:
    """Files in an archive: a browser asks before it lets a page save a second one."""
    with ZipFile(path, "w") as archive:
        for file in files:
            archive.write(file, file.name)
    return path


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
