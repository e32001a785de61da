"""What serving an explanation costs: `seewhy serve` at 1, 8 and 32 clients against the bare model, in one process.

    python benchmarks/serve.py [--rounds 4] [--requests 128] [--quick]

The server runs in a thread of this process, the clients in another process on the same cores; see _clients.py. Rounds
are interleaved, see _timing.py.
"""

import argparse
import io
import json
import pickle
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import uvicorn
from _timing import Contender, Seconds, Spread, Wish, interleave, machine, publish, spread, table, wishes_table

import seewhy
from seewhy.allocation import keep_freed_memory
from seewhy.photos import FILES, embedded_photo
from seewhy.serve import _run
from seewhy.serve._models import Models
from seewhy.serve.app import Limits, create_app

CLIENTS = (1, 8, 32)
PHOTOS = 16
SIZE = (480, 360)
WARM_UPS = 1
ALIKE = 1e-4
QUEUE = 16
"""The bound of the queue in the test of its bound."""

FORWARD, BARE = "bare forward passes, batches of {}", "bare explanations of the files, batches of {}"
SERVED = "served, {} clients"
PATH = "/v1/models/lite0:explain"

NOTES = f"""\
{PHOTOS} JPEG files of {SIZE[0]} × {SIZE[1]} pixels, cut from the embedded photos, sent one in a request as
multipart/form-data and answered as JSON with map, boxes, score, predictions and sentence; Grad-CAM for the best class.
The clients ask again as soon as they are answered, from another process on the same cores, which is in the served time.

- bare explanations of the files: `explainer(list of bytes)` in this process: decode, prepare, explain, no boxes and no
  words. What a program would do that holds the model itself. For several clients the share is that of the faster of
  batches of 8 and of 32, in the same round.
- bare forward passes: `net(batch)` of the same photos, already decoded and prepared, under `torch.no_grad()`: nothing
  that an answer needs beside the model.
- Every answer of every round was held against the direct call for its photo: map and score within {ALIKE:g} of the
  highest value of the map, the same class."""


# ---- the work --------------------------------------------------------------------------------------------


def files() -> list[bytes]:
    """Photos as clients would send them."""
    random, found = np.random.default_rng(0), []
    for i in range(PHOTOS):
        image = embedded_photo(list(FILES)[i % len(FILES)]).image
        width = min(image.width, image.height * SIZE[0] // SIZE[1]) * float(random.uniform(0.7, 1))
        height = width * SIZE[1] / SIZE[0]
        left, top = (float(random.uniform(0, room)) for room in (image.width - width, image.height - height))
        file = io.BytesIO()
        image.resize(SIZE, box=(left, top, left + width, top + height)).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def as_form(data: bytes) -> bytes:
    head = b'--BOUNDARY\r\nContent-Disposition: form-data; name="image"; filename="photo.jpg"\r\n\r\n'
    return head + data + b"\r\n--BOUNDARY--\r\n"


@contextmanager
def serving(models: Models, limits: Limits) -> Iterator[int]:
    """A server in a thread of this process; gives its port."""
    listener = _run.listen("127.0.0.1", 0)
    server = uvicorn.Server(_run.config(create_app(models, limits), limits))
    server.capture_signals = nullcontext  # they are the benchmark's own
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(30)


class Clients:
    """The process of the clients."""

    def __init__(self, port: int, bodies: Sequence[bytes]) -> None:
        script = str(Path(__file__).with_name("_clients.py"))
        self.process = subprocess.Popen(
            [sys.executable, script, str(port), PATH], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdin is not None and self.process.stdout is not None
        self.ask, self.answers = self.process.stdin, self.process.stdout
        pickle.dump((list(bodies), {"Content-Type": "multipart/form-data; boundary=BOUNDARY"}), self.ask)
        self.ask.flush()

    def __call__(self, clients: int, requests: int) -> dict[str, Any]:
        self.ask.write(f"{clients} {requests}\n".encode())
        self.ask.flush()
        return dict(pickle.load(self.answers))

    def close(self) -> None:
        self.ask.close()
        self.process.wait(30)


# ---- the contenders --------------------------------------------------------------------------------------


def in_batches(work: Callable[[list[int]], object], size: int, requests: int) -> Callable[[], None]:
    def call() -> None:
        for start in range(0, requests, size):
            work([i % PHOTOS for i in range(start, min(start + size, requests))])

    return call


def served(
    models: Models, bodies: Sequence[bytes], clients: int, requests: int, check: Callable[[dict[str, Any]], None]
) -> Contender:
    """A server and clients that are there for this turn alone: idle threads of theirs would slow the others' turns."""

    @contextmanager
    def prepare() -> Iterator[Callable[[], None]]:
        kept: list[dict[str, Any]] = []
        _run.share_cores()  # as `seewhy serve` does
        with serving(models, Limits()) as port, closing(Clients(port, bodies)) as load:
            load(clients, clients)
            yield lambda: kept.append(load(clients, requests))
        check(kept[0])

    return Contender(SERVED.format(clients), prepare)


@dataclass
class Check:
    """Holds every answer against the direct call, and counts."""

    direct: Sequence[seewhy.Explanation]
    answers: int = 0
    errors: int = 0
    apart: float = 0.0

    def __call__(self, found: dict[str, Any]) -> None:
        self.answers += found["statuses"].get(200, 0)
        self.errors += sum(count for status, count in found["statuses"].items() if status != 200)
        for number, body in found["answers"].items():
            [target] = json.loads(body)["explanations"][0]["targets"]
            expected = self.direct[number].maps[0, 0].numpy()
            score = float(self.direct[number].scores[0, 0])
            if target["index"] != self.direct[number].targets[0][0].index:
                raise SystemExit(f"photo {number} was answered with another class than by the direct call")
            apart = abs(np.asarray(target["map"]) - expected).max() / expected.max()
            self.apart = max(self.apart, float(apart), abs(target["score"] - score) / abs(score))
        if self.apart > ALIKE:
            raise SystemExit(f"an answer differs from the direct call by {self.apart:.1e}")


def beyond_the_bound(models: Models, bodies: Sequence[bytes]) -> dict[str, dict[int, int]]:
    """What the clients get below, at and beyond the bound of a small queue."""
    with serving(models, Limits(queue=QUEUE)) as port, closing(Clients(port, bodies)) as load:
        return {f"{n} clients, room for {QUEUE}": load(n, 8 * n)["statuses"] for n in (QUEUE // 2, QUEUE, 3 * QUEUE)}


# ---- report ----------------------------------------------------------------------------------------------


def throughput(seconds: Seconds, name: str, requests: int) -> str:
    return spread(requests / one for one in seconds[name]).text(1)


def share(seconds: Seconds, clients: int, bare: str) -> Spread:
    """The served throughput as a share of the bare one of the same round, of the faster batch for several clients."""
    sizes = [size for size in CLIENTS if (size > 1) == (clients > 1)]
    alone = map(min, zip(*(seconds[bare.format(size)] for size in sizes), strict=True))
    return spread(one / served for one, served in zip(alone, seconds[SERVED.format(clients)], strict=True))


def report(seconds: Seconds, requests: int, rounds: int, check: Check, bounds: dict[str, dict[int, int]]) -> str:
    wishes = []
    for clients in (8, 32):
        found = share(seconds, clients, BARE)
        wishes.append(
            Wish(f"{clients} clients, served / bare batched throughput", "≥ 0.85", found.text(), found.median >= 0.85)
        )  # fmt: skip
    below = {status for name, statuses in bounds.items() if not name.startswith(f"{3 * QUEUE} ") for status in statuses}
    beyond = set(bounds[f"{3 * QUEUE} clients, room for {QUEUE}"])
    wishes += [
        Wish("errors below the queue's bound", "0", str(check.errors), check.errors == 0 and below == {200}),
        Wish("beyond it", "200 or 503 only", ", ".join(map(str, sorted(beyond))), beyond <= {200, 503}),
        Wish("answers apart from the direct call", f"≤ {ALIKE:g}", f"{check.apart:.1e}", check.apart <= ALIKE),
    ]
    rows: list[Sequence[str]] = []
    for clients in CLIENTS:
        forward, bare = (throughput(seconds, name.format(clients), requests) for name in (FORWARD, BARE))
        rows.append(
            (str(clients), throughput(seconds, SERVED.format(clients), requests), bare,
             share(seconds, clients, BARE).text(), forward, share(seconds, clients, FORWARD).text())
        )  # fmt: skip
    head = ("clients, or batch", "served, photos/s", "bare explanations", "share", "bare forward passes", "share")
    faults = table(
        ("", "answered", "503"), [(name, str(s.get(200, 0)), str(s.get(503, 0))) for name, s in bounds.items()]
    )
    where = machine("torch", "fastapi", "uvicorn", more=f"on cpu: {torch.get_num_threads()} threads")
    return "\n\n".join(
        [
            "## Serving explanations over HTTP",
            f"{where} Rounds after warm-ups: {rounds}, of {requests} photos; {check.answers} requests answered.",
            wishes_table(wishes),
            NOTES,
            table(head, rows),
            faults,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--requests", type=int, default=128, help="photos in one turn of a round")
    parser.add_argument("--quick", action="store_true", help="1 round of few photos, to stdout only: does it run?")
    given = parser.parse_args()
    rounds, requests, warm_ups = (1, 32, 0) if given.quick else (given.rounds, given.requests, WARM_UPS)

    keep_freed_memory()  # as the command line does; it is for the bare model's good as well
    lite0 = seewhy.load("lite0")
    explainer, photos = seewhy.Explainer(lite0), files()
    bodies = [as_form(data) for data in photos]
    check = Check([explainer(data) for data in photos])
    placed = explainer.prepare(photos).placed

    def forward(which: list[int]) -> None:
        with torch.no_grad():
            lite0.net(placed[which])

    models = Models({"lite0": lite0})
    contenders = []
    for size in CLIENTS:
        for name, work in ((FORWARD, forward), (BARE, lambda which: explainer([photos[i] for i in which]))):
            call = in_batches(work, size, requests)
            contenders.append(Contender(name.format(size), lambda call=call: nullcontext(call)))
    contenders += [served(models, bodies, clients, requests, check) for clients in CLIENTS]
    seconds = interleave(contenders, rounds, warm_ups)
    publish("serve", report(seconds, requests, rounds, check, beyond_the_bound(models, bodies)), quick=given.quick)


if __name__ == "__main__":
    main()
