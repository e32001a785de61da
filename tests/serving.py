"""A server of `seewhy serve` in a process of its own, and what tests send to it."""

import base64
import contextlib
import io
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import seewhy


def slow(seconds: float = 0.5) -> seewhy.VisionModel:
    """A model that takes its time: `python:serving:slow`."""

    class Slow(torch.nn.Sequential):
        def forward(self, x):
            time.sleep(seconds)
            return super().forward(x)

    net = Slow(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
               torch.nn.Linear(4, 3))  # fmt: skip
    return seewhy.VisionModel(net, seewhy.Preprocess(size=(16, 16), resize=16), ["cat", "dog", "newt"], "slow")


def jpeg(seed: int = 0, size: tuple[int, int] = (64, 48)) -> bytes:
    """A small photo of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG")
    return file.getvalue()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def form(*photos: bytes, **fields: str) -> tuple[bytes, dict[str, str]]:
    """A multipart body, and its header."""
    parts = [
        b'--B\r\nContent-Disposition: form-data; name="image"; filename="x.jpg"\r\n\r\n' + p + b"\r\n" for p in photos
    ]
    for name, value in fields.items():
        parts.append(f'--B\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode())
    return b"".join([*parts, b"--B--\r\n"]), {"Content-Type": "multipart/form-data; boundary=B"}


def with_a_page() -> None:
    """Serve the slow model beside a page that never ends: `python -c "import serving; serving.with_a_page()"`."""
    import asyncio

    from starlette.responses import StreamingResponse

    from seewhy.serve._models import Models
    from seewhy.serve._run import log_in_json, run
    from seewhy.serve.app import Limits, create_app

    async def endless():
        while True:
            yield b"beat"
            await asyncio.sleep(0.1)

    def page(app, models, limits):
        app.add_route("/page", lambda request: StreamingResponse(endless()))

    log_in_json()
    run(create_app(Models({"slow": slow()}), page=page), "127.0.0.1", 0, Limits())


class Server:
    """`seewhy serve` with these arguments, or another command, on a free port."""

    def __init__(self, *arguments: str, command: list[str] | None = None, **environment: str) -> None:
        tests = Path(__file__).parent
        path = os.pathsep.join([str(tests.parent / "src"), str(tests)])
        self.process = subprocess.Popen(
            [sys.executable, *(command or ["-m", "seewhy", "serve", "--port", "0"]), *arguments],
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path, **environment},
        )
        self.log: list[dict] = []
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.url = self._started()
        self.host, port = self.url.removeprefix("http://").rsplit(":", 1)
        self.port = int(port)

    def _read(self) -> None:
        assert self.process.stderr is not None
        with self.process.stderr as lines:
            for line in lines:
                self._lines.put(line)
        self._lines.put(None)

    def _started(self) -> str:
        for line in iter(lambda: self._lines.get(timeout=120), None):
            if line.startswith("{") and (record := json.loads(line))["message"] == "listening":
                return record["url"]
            self.log.append({"plain": line})
        raise AssertionError(f"the server did not start: {self.log}")

    def request(self, method: str, path: str, body=None, headers: dict[str, str] | None = None):
        """Status, headers and body of one request on a connection of its own."""
        with contextlib.closing(HTTPConnection(self.host, self.port, timeout=60)) as connection:
            connection.request(method, path, body, headers or {})
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()

    def explain(self, model: str, *photos: bytes, **fields: str):
        body, headers = form(*photos, **fields)
        status, _, answer = self.request("POST", f"/v1/models/{model}:explain", body, headers)
        return status, json.loads(answer)

    def metric(self, name: str) -> float:
        _, _, text = self.request("GET", "/metrics")
        return next(float(line.split()[-1]) for line in text.decode().splitlines() if line.startswith(name))

    def memory(self) -> int:
        """Bytes that the process holds."""
        with open(f"/proc/{self.process.pid}/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def send(self, body: bytes, headers: dict[str, str], path: str, length: int | None = None) -> socket.socket:
        """A request whose answer is not waited for."""
        connection = socket.create_connection((self.host, self.port))
        lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {length or len(body)}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        connection.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        return connection

    def stop(self, number: int = signal.SIGTERM) -> int:
        """End the server, and its exit code."""
        self.process.send_signal(number)
        code = self.process.wait(60)
        for line in iter(self._lines.get, None):
            self.log.append(json.loads(line) if line.startswith("{") else {"plain": line})
        return code

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self._reader.join(10)
