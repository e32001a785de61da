"""Run the app until it is told to stop; what was accepted is then finished."""

import atexit
import logging
import os
import signal
import socket
import sys
import threading
import time
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from threadpoolctl import ThreadpoolController, threadpool_limits

from seewhy.errors import InputError
from seewhy.serve._guards import JsonLines
from seewhy.serve._limits import Limits
from seewhy.serve._metrics import Metrics

OMP_PAUSE_SOFT = 1
SWITCH = 0.001
"""Seconds after which a busy thread of Python lets another run: the model's thread waits for its turn after every
operation, and by default, 0.005, each turn may take longer than the operation."""


def run(app: FastAPI, host: str, port: int, limits: Limits) -> None:
    """Listen until SIGTERM or Ctrl-C. Port 0: a free one; the log, see `log_in_json`, says which.

    Raises InputError where the address cannot be listened on.
    """
    share_cores()
    listener = listen(host, port)
    name, number = listener.getsockname()[:2]
    address = f"http://[{name}]:{number}" if ":" in name else f"http://{name}:{number}"
    logging.getLogger("seewhy.serve").info("listening", extra={"url": address})
    server = uvicorn.Server(config(app, limits))
    for one in (signal.SIGINT, signal.SIGTERM):
        # uvicorn stops in order at a signal, and raises it once more when it is done: that is no news then
        signal.signal(one, lambda *_: None)
    if app.state.page:
        _hang_up(server, app.state.service.metrics)
    server.run(sockets=[listener])
    if not app.state.service.ended:
        logging.getLogger("seewhy.serve").error("something still ran when its time was over, and was ended")
        atexit._run_exitfuncs()  # the files of the page's visitors go, and the log is written
        os._exit(1)  # Python waits for no thread that is in the middle of an operation: it would crash


def _hang_up(server: uvicorn.Server, metrics: Metrics) -> None:
    """Do not wait for pages that are left open, which hold their connections, once the API has answered all."""
    stop = server.handle_exit

    def wait_for_answers() -> None:
        while metrics.running:
            time.sleep(0.1)
        time.sleep(1)  # the last bytes are on their way
        server.force_exit = True

    def stopping(number: int, frame: FrameType | None) -> None:
        stop(number, frame)
        threading.Thread(target=wait_for_answers, daemon=True).start()

    server.handle_exit = stopping  # type: ignore[assignment, method-assign]


def share_cores() -> None:
    """Let the models' threads have the cores, for this process; called in the thread that loaded the models.

    Photos are decoded and answers written in threads beside the models'. NumPy's own threads, which wait by spinning,
    would take from them half as much again as all the rest: for arrays as small as these they are of no use. OpenMP's
    threads that helped to load the models are let go, for where it counts more threads than cores each of them falls
    asleep after every operation, and a pass takes half as long again.
    """
    sys.setswitchinterval(SWITCH)
    threadpool_limits(1, user_api="blas")
    for pool in ThreadpoolController().select(user_api="openmp").lib_controllers:
        if hasattr(pool.dynlib, "omp_pause_resource_all"):  # of OpenMP 5.0
            pool.dynlib.omp_pause_resource_all(OMP_PAUSE_SOFT)


def config(app: FastAPI, limits: Limits) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_keep_alive=15,
        timeout_graceful_shutdown=round(limits.timeout) + 5,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on this address."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # or asyncio leaves TCP's delays on
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(1024)
    except OSError as error:
        raise InputError(f"cannot listen on {host}:{port}: {error.strerror or error}; try another --port") from error
    listener.set_inheritable(True)
    return listener


def log_in_json(stream: Any = None) -> None:
    """All that is logged, warnings too, as lines of JSON on stderr."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logging.basicConfig(handlers=[handler], level=logging.INFO, force=True)
    logging.captureWarnings(True)
    for chatty in ("httpx", "httpcore", "matplotlib", "PIL"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
