"""The web page: drop a photo, see where a model looked. See page.py for what stands where.

`launch` serves it alone, as `seewhy web` does; `mount` puts it on the app of `seewhy serve`.
"""

import os
import socket
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seewhy.errors import MissingPackageError, SeewhyError
from seewhy.photos import FILES, embedded_photo
from seewhy.serve._limits import Limits
from seewhy.serve._models import Models
from seewhy.serve.web.guard import NoAddresses
from seewhy.serve.web.models import Allowed, AnyModel, Shelf
from seewhy.serve.web.sessions import Sessions

__all__ = ["Allowed", "AnyModel", "Shelf", "create_page", "launch", "mount", "wait_for_end"]

LIMITS = Limits(body=32_000_000, pixels=100_000_000)
"""The largest file and photo that the page takes where nobody says otherwise."""
REMEMBERED = 200
"""Of how many visitors Gradio keeps what it showed them, for the hour in which they may come back."""
_LOOK = {"footer_links": [], "run_history": False, "ssr_mode": False, "pwa": False, "enable_monitoring": False}
"""What Gradio shall leave away: links to elsewhere, and all that is kept of what visitors did."""


def create_page(shelf: Shelf, limits: Limits = LIMITS, *, visitors: int = 16) -> Any:
    """The page as Gradio's Blocks; of more than `visitors` at once, the passes of those who left longest are dropped.

    Raises MissingPackageError where Gradio is not installed, and what loading the first model raises.
    """
    _need_gradio()
    from seewhy.serve.web.page import build

    return build(shelf, Sessions(visitors, limits.pixels), _examples(), _in_words)


def launch(
    shelf: Shelf, *, host: str = "127.0.0.1", port: int | None = None, show: bool = False, wait: bool = True
) -> tuple[Any, str]:
    """Serve the page; returns it, to be closed by its `close()`, and its address. `wait`: until an interrupt.

    Without a `port` the first free one from 7860 on is taken; `show` opens it in the system's browser.
    Raises SeewhyError where the port is taken, or the host is no address of this machine.
    """
    _check_free(host, port)
    page = create_page(shelf)
    try:
        _, address, _ = page.queue(max_size=64).launch(
            server_name=host, server_port=port, inbrowser=show, quiet=True, prevent_thread_lock=True,
            share=False, max_file_size=LIMITS.body, state_session_capacity=REMEMBERED, app_kwargs=_guarded(),
            **_LOOK, **_style(),
        )  # fmt: skip
    except OSError as error:
        raise SeewhyError(f"the page cannot listen at {host}: {error}; choose another port") from error
    if wait:
        wait_for_end(page)
    return page, address


def wait_for_end(page: Any) -> None:
    """Wait until a page that was launched is interrupted, or the program is ended; then the uploaded photos go."""
    try:
        page.block_thread()
    finally:
        page.close(verbose=False)


def mount(app: Any, models: Models, limits: Limits = LIMITS, path: str = "/web") -> Any:
    """Put the page on an app of FastAPI, for the models of its allow-list and no others; returns the app."""
    page = create_page(Allowed(models), limits)
    import gradio
    from starlette.responses import RedirectResponse
    from starlette.routing import Route

    async def with_slash(_: Any) -> RedirectResponse:
        return RedirectResponse(f"{path.rpartition('/')[2]}/")  # within whatever path the app itself is served

    app.router.routes.append(Route(path, with_slash))
    page.state_session_capacity = REMEMBERED
    page.has_launched = True  # from then on Gradio lets only those files through that were uploaded to it
    return gradio.mount_gradio_app(
        app, page.queue(max_size=64), path=path, root_path=path, max_file_size=limits.body, show_error=False,
        app_kwargs=_guarded(), **_LOOK, **_style(),
    )  # fmt: skip


def _check_free(host: str, port: int | None) -> None:
    """Raise SeewhyError where nobody can listen there, before models are loaded."""
    try:
        family = socket.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((host, port or 0))
    except (OSError, OverflowError) as error:
        at = host if port is None else f"{host}, port {port}"
        words = getattr(error, "strerror", None) or error
        raise SeewhyError(f"the page cannot listen at {at}: {words}; choose another host or port") from error


def _need_gradio() -> None:
    if find_spec("gradio") is None:
        raise MissingPackageError('the web page is made with Gradio: pip install "seewhy[web]"')
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # before it is imported
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _guarded() -> dict[str, Any]:
    from starlette.middleware import Middleware

    return {"middleware": [Middleware(NoAddresses)]}


def _style() -> dict[str, Any]:
    """A theme of the system's own fonts and few colours."""
    import gradio

    theme = gradio.themes.Default(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        radius_size="lg",
        font=["ui-sans-serif", "system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    return {"theme": theme, "css_paths": Path(__file__).with_name("page.css")}


def _examples() -> Sequence[Path]:
    """The embedded photos, where scikit-image is installed."""
    try:
        photos = [embedded_photo(name) for name in FILES]
    except MissingPackageError:
        return []
    return [photo.path for photo in photos if photo.path is not None]


def _in_words(error: Exception) -> str:
    """An error that nobody foresaw."""
    if isinstance(error, MemoryError):
        return "There is not enough memory for this: try a smaller photo, a later layer, or a quicker method."
    return f"Something went wrong that seewhy did not foresee ({type(error).__name__}: {error})."
