"""seewhy serve: the HTTP API, and the web page on the same address."""

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from seewhy.cli import _report
from seewhy.cli._options import Device, Trust, is_this_machine
from seewhy.errors import InputError, MissingPackageError

TOKEN = "SEEWHY_TOKEN"
NEEDS = ("fastapi", "uvicorn", "prometheus_client", "python_multipart", "threadpoolctl")


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model", "-m", metavar="[NAME=]SPEC", help="A model that may be asked for; may be repeated. [lite0]"
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option(metavar="M", help="Allow this method beside those of one pass; may be repeated; all: every one."),
    ] = None,
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0: all.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one, which the log names.")] = 8000,
    token_file: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help=f"Clients must send the token in this file; or in the variable {TOKEN}."),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Photos explained together, at most.")] = 8,
    threads: Annotated[
        int, typer.Option(min=1, help="Batches explained at a time, at most, on PyTorch's CPU; each needs memory.")
    ] = 4,
    delay: Annotated[float, typer.Option(min=0, help="Milliseconds that a photo waits for others, at most.")] = 20,
    queue: Annotated[int, typer.Option(min=1, help="Photos that may wait; beyond them the answer is 503.")] = 128,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds until a request is answered or given up.")] = 30,
    body: Annotated[float, typer.Option(min=0.001, help="Megabytes of one request.")] = 20,
    pixels: Annotated[float, typer.Option(min=0.001, help="Megapixels of one photo.")] = 40,
    no_web: Annotated[bool, typer.Option("--no-web", help="The API alone, without the web page.")] = False,
    device: Device = None,
    trust: Trust = False,
) -> None:
    """Answer requests for explanations over HTTP, and show the web page where gradio is installed.

    KServe's V1 protocol under /v1, the Open Inference Protocol under /v2, metrics for Prometheus at /metrics, and the
    OpenAPI document at /openapi.json. Photos come in the requests, and nothing is fetched for them. The log is one JSON
    object for each line on stderr. On SIGTERM or Ctrl-C what was accepted is finished.
    """
    missing = [package for package in NEEDS if find_spec(package) is None]
    if missing:
        raise MissingPackageError(f'seewhy serve needs {", ".join(missing)}: pip install "seewhy[serve]"')
    token = read_token(token_file)
    if token is None and not is_this_machine(host):
        _report.note(f"anybody who reaches {host} may ask this server: set {TOKEN} or --token-file")

    from seewhy.serve import _run
    from seewhy.serve._models import load_models
    from seewhy.serve.app import Limits, create_app

    limits = Limits(
        body=round(body * 1e6),
        pixels=round(pixels * 1e6),
        batch=batch,
        threads=threads,
        delay=delay / 1000,
        queue=queue,
        timeout=timeout,
    )
    _run.listen(host, port).close()  # so that a port that is taken is told at once
    _run.log_in_json()
    models = load_models(model or ["lite0"], _methods(method), device=device, trust=trust)
    app = create_app(models, limits, token=token, page=_page(no_web, token))
    _run.run(app, host, port, limits)


def read_token(file: Path | None) -> str | None:
    """The token from a file, or from the environment; never from the command line, which others can read."""
    if file is not None:
        try:
            token = file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"--token-file: {file} cannot be read: {getattr(error, 'strerror', error)}") from error
    elif (given := os.environ.get(TOKEN)) is not None:
        token = given.strip()
    else:
        return None
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise InputError(f"expected a token of printable ASCII characters without spaces in {file or TOKEN}")
    return token


def _methods(more: list[str] | None) -> list[str]:
    from seewhy import catalog
    from seewhy.serve._models import cheap_methods

    if more and "all" in more:
        return catalog.names("methods")
    return list(dict.fromkeys([*cheap_methods(), *(catalog.as_method(name).name for name in more or ())]))


def _page(no_web: bool, token: str | None) -> Any:
    """What mounts the web page; None where there shall be none, or cannot be one."""
    if no_web or find_spec("gradio") is None:
        return None
    if token is not None:
        _report.note("the web page is left out: a browser cannot send the token")
        return None
    from seewhy.serve.web import mount  # here, for it takes long to import

    return mount
