"""A real `seewhy serve`: load, leaving clients, shutdown, broken uploads, and a run of schemathesis."""

import contextlib
import io
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
import zlib
from http.client import HTTPConnection
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seewhy
from serving import Server, b64, form, jpeg


@pytest.fixture(scope="module")
def server():
    with Server("--model", "lite0", "--model", "slow=python:serving:slow", "--no-web", "--body", "1") as server:
        yield server


def at_once(calls):
    """The results of calls that run at the same time."""
    found = [None] * len(calls)
    threads = [threading.Thread(target=lambda i=i, c=c: found.__setitem__(i, c())) for i, c in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return found


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_clients_at_once_get_what_the_direct_call_gives(server, lite0):
    assert json.loads(server.request("GET", "/v1/models")[2]) == {"models": ["lite0", "slow"]}
    before = server.metric("seewhy_batch_photos_count")
    found = at_once([lambda i=i: server.explain("lite0", jpeg(i), top="2") for i in range(24)])
    explainer = seewhy.Explainer(lite0)
    for seed, (status, answer) in enumerate(found):
        assert status == 200, answer
        direct = explainer(jpeg(seed), seewhy.top(2))
        for j, target in enumerate(answer["explanations"][0]["targets"]):
            assert target["index"] == direct.targets[0][j].index
            expected = direct.maps[0, j].numpy()
            np.testing.assert_allclose(target["map"], expected, rtol=0, atol=1e-4 * expected.max())
    assert server.metric("seewhy_batch_photos_count") - before < 22  # they were explained together


def test_a_client_that_leaves_frees_its_place(server):
    body, headers = form(jpeg())
    connections = [server.send(body, headers, "/v1/models/slow:explain") for _ in range(5)]
    until(lambda: server.metric("seewhy_photos_waiting") == 5)
    done = server.metric('seewhy_photos_total{method="grad-cam",model="slow"}') if "slow" in _metrics(server) else 0.0
    for connection in connections:
        connection.close()
    until(lambda: server.metric("seewhy_photos_waiting") == 0)
    assert server.explain("slow", jpeg())[0] == 200
    assert server.metric('seewhy_photos_total{method="grad-cam",model="slow"}') == done + 1


def _metrics(server):
    return server.request("GET", "/metrics")[2].decode()


def test_a_body_that_is_too_long_is_refused_while_it_comes(server):
    photo = jpeg(size=(2000, 1000))
    assert len(photo) > 1_000_000
    status, answer = server.explain("lite0", photo)
    assert status == 413 and "at most 1000000 bytes" in answer["error"]
    for body in (bytes(2_500_000), (bytes(100_000) for _ in range(25))):  # with and without a length
        status, _, _ = server.request("POST", "/v1/models/lite0:explain", body, {"Content-Type": "application/json"})
        assert status == 413
    assert server.request("GET", "/v2/health/ready")[0] == 200


# ---- broken uploads --------------------------------------------------------------------------------------


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it has this size, with a few compressed zeros: a decompression bomb where it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = zlib.compress(bytes(200_000))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def broken(seed: int) -> tuple[bytes, dict[str, str]]:
    """One of many ways to send what is no photo."""
    random = np.random.default_rng(seed)
    whole = {}
    for kind in ("JPEG", "PNG", "GIF", "BMP", "TIFF", "WEBP"):
        file = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (24, 24, 3), np.uint8)).save(file, kind)
        whole[kind] = file.getvalue()
    kind = str(random.choice(list(whole)))
    ways = [
        whole[kind][: int(random.integers(1, 0.6 * len(whole[kind])))],  # cut off
        random.bytes(int(random.integers(1, 4000))),
        whole[kind][:16] + random.bytes(2000),  # a good beginning
        png_of(*(int(side) for side in random.integers(30_000, 60_000, 2))),
        png_of(12_000, 12_000),
        b"",
        b"%PDF-1.7\n" + random.bytes(500),
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        json.dumps({"instances": ["/etc/passwd"]}).encode(),
        b"http://example.com/photo.jpg",
    ]
    data = ways[seed % len(ways)]
    body, headers = form(data)
    match (seed // len(ways)) % 5:
        case 0 | 1:
            return body, headers
        case 2:
            return json.dumps({"instances": [b64(data)]}).encode(), {"Content-Type": "application/json"}
        case 3:
            return data, {"Content-Type": "application/json"}
        case _:
            return body[: len(body) // 2], headers


def test_a_thousand_broken_uploads_are_told_and_leave_nothing_behind(server):
    def send(seeds):
        return [server.request("POST", "/v1/models/lite0:explain", *broken(seed)) for seed in seeds]

    for round_ in range(3):  # the pools of memory are filled
        at_once(
            [lambda i=i, r=round_: send(range(1000 + 50 * i + 10 * r, 1000 + 50 * i + 10 * r + 10)) for i in range(4)]
        )
        at_once([lambda i=i: server.explain("lite0", jpeg(i)) for i in range(16)])
    before = server.memory()
    found = [answer for part in at_once([lambda i=i: send(range(i, 1000, 4)) for i in range(4)]) for answer in part]
    grown = server.memory() - before
    assert len(found) == 1000
    statuses = {status for status, _, _ in found}
    assert statuses <= {400, 413} and {400, 413} <= statuses
    assert all(json.loads(body)["error"] for _, _, body in found)
    assert grown < 20_000_000, f"{grown / 1e6:.1f} MB"
    assert server.metric("seewhy_photos_waiting") == 0
    assert server.explain("lite0", jpeg())[0] == 200


def test_schemathesis_finds_nothing_that_breaks_the_server(server, tmp_path):
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent)) or shutil.which("schemathesis")
    assert command is not None, "schemathesis is among the packages for tests"
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    done = subprocess.run(
        [command, "run", f"{server.url}/openapi.json", "--checks", checks, "--max-examples", "10", "--seed", "1",
         "--phases", "examples,coverage,fuzzing", "--no-color"],
        capture_output=True, text=True, timeout=200, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert server.explain("lite0", jpeg())[0] == 200


# ---- shutdown --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_was_accepted_is_finished_and_new_requests_are_refused(number):
    with Server("--model", "slow=python:serving:slow", "--no-web", "--batch", "2") as server:
        found = []
        threads = [threading.Thread(target=lambda: found.append(server.explain("slow", jpeg()))) for _ in range(6)]
        for thread in threads:
            thread.start()
        until(lambda: server.metric("seewhy_photos_waiting") == 6)
        server.process.send_signal(number)
        until(lambda: refused(server))
        assert server.process.poll() is None and len(found) < 6  # it still works
        for thread in threads:
            thread.join(30)
        assert server.process.wait(30) == 0
    assert [status for status, _ in found] == [200] * 6


def test_a_long_run_that_nobody_waits_for_ends():
    with Server("--method", "rise", "--no-web", "--threads", "1", "--timeout", "3", "--queue", "4") as server:
        assert server.explain("lite0", jpeg(), method="rise")[0] == 504  # thousands of passes
        until(lambda: server.explain("lite0", jpeg())[0] == 200)
        body, headers = form(jpeg(), method="rise")
        server.send(body, headers, "/v1/models/lite0:explain").close()
        until(lambda: server.metric("seewhy_photos_waiting") == 0)
        until(lambda: server.explain("lite0", jpeg())[0] == 200)
        with server.send(body, headers, "/v1/models/lite0:explain"):
            until(lambda: server.metric("seewhy_photos_waiting") == 1)
            assert server.stop() == 0


def test_an_open_page_is_not_waited_for_but_an_answer_is():
    with Server(command=["-c", "import serving; serving.with_a_page()"]) as server:
        with contextlib.closing(HTTPConnection(server.host, server.port, timeout=20)) as page:
            page.request("GET", "/page")
            assert page.getresponse().read(4) == b"beat"
            found = []
            asking = threading.Thread(target=lambda: found.append(server.explain("slow", jpeg())))
            asking.start()
            until(lambda: server.metric("seewhy_photos_waiting") == 1)
            start = time.monotonic()
            server.process.send_signal(signal.SIGTERM)
            asking.join(20)
            assert found[0][0] == 200 and server.process.wait(20) == 0
        assert time.monotonic() - start < 10  # and not as long as a request may take


def refused(server) -> bool:
    try:
        server.request("GET", "/v2/health/live")
    except ConnectionError:
        return True
    return False


def test_a_token_comes_from_the_environment_or_a_file(tmp_path):
    (tmp_path / "token").write_text("abc\n")
    arguments = ("--no-web", "--model", "slow=python:serving:slow", "--timeout", "0.3")
    with Server(*arguments, SEEWHY_TOKEN="s3cret") as server:
        assert server.request("GET", "/v1/models")[0] == 401
        assert server.request("GET", "/v1/models", None, {"Authorization": "Bearer s3cret"})[0] == 200
        token = {"Authorization": "Bearer s3cret"}
        body, headers = form(jpeg())
        assert server.request("POST", "/v1/models/slow:explain", body, {**headers, **token})[0] == 504
        with server.send(body[:9], {**headers, **token}, "/v1/models/slow:explain", length=len(body)) as connection:
            assert connection.recv(1000).startswith(b"HTTP/1.1 408")  # the rest never came
        assert server.stop() == 0
        [line] = [one for one in server.log if one.get("status") == 200]
        assert line["message"] == "answered" and line["route"] == "/v1/models"
        assert "s3cret" not in json.dumps(server.log)


def seewhy_serve(*arguments, **environment):
    path = str(Path(__file__).parents[1] / "src")
    return subprocess.run([sys.executable, "-m", "seewhy", "serve", *arguments], capture_output=True, text=True,
                          timeout=100, env={**os.environ, "PYTHONPATH": path, **environment})  # fmt: skip


def test_what_the_operator_gets_wrong_is_one_line(server, tmp_path):
    for arguments, environment, words in (
        (["--token-file", str(tmp_path / "none")], {}, "cannot be read: No such file"),
        ([], {"SEEWHY_TOKEN": " "}, "expected a token of printable ASCII characters"),
        (["--port", str(server.port)], {}, f"cannot listen on 127.0.0.1:{server.port}: Address already in use"),
        (["--method", "grad-cma"], {}, "did you mean 'grad-cam'"),
        (["--model", "a=lite0", "--model", "a=lite0"], {}, "two models would be called 'a'"),
    ):
        done = seewhy_serve(*arguments, **environment)
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and words in done.stderr
