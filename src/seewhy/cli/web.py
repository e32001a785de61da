"""seewhy web: a page to drop photos on."""

from typing import Annotated

import typer

from seewhy.cli import _report
from seewhy.cli._options import Device, is_this_machine


def web(
    model: Annotated[
        list[str] | None,
        typer.Option("--model", "-m", metavar="SPEC", help="Which model; repeated, several to choose from. [lite0]"),
    ] = None,
    host: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where to listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int | None, typer.Option(metavar="N", help="[the first free one from 7860 on]")] = None,
    any_model: Annotated[
        bool | None,
        typer.Option("--any-model/--these-models", help="May visitors load any model? [on this machine alone: yes]"),
    ] = None,
    show: Annotated[bool, typer.Option("--open", help="Open the page in the browser.")] = False,
    device: Device = None,
) -> None:
    """A page: drop a photo, see what the model recognises and where it looked.

    Nothing leaves this machine: the page listens on 127.0.0.1 unless --host says otherwise, and loads nothing from
    elsewhere. Where other machines are let in, visitors choose among the models given here, for to load a model is to
    open files, and perhaps to run code.
    """
    from seewhy.serve.web import AnyModel, launch, wait_for_end  # here, for it takes long to import

    specs = model or ["lite0"]
    is_open = is_this_machine(host) if any_model is None else any_model
    shelf = AnyModel(specs, is_open=is_open, device=device, most=max(2, len(specs)))
    page, address = launch(shelf, host=host, port=port, show=show, wait=False)
    console = _report.out()
    console.print(f"seewhy web: {address}  (stop it with Ctrl+C)")
    wait_for_end(page)
