"""Clients of a server, in a process of their own: `python _clients.py PORT PATH`.

Read from stdin: bodies (a pickled list of bytes, and headers) and then a line with a number of clients and a number of
requests, as often as wished; each line is answered on stdout by a pickled dict: seconds, statuses, and the answers in
the order of the bodies. As little as possible is done here while the clock runs: the server needs the cores.
"""

import asyncio
import pickle
import sys
import time


async def client(port, requests, take, statuses, answers, latencies):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while (number := take()) is not None:
        start = time.perf_counter()
        writer.write(requests[number % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        body = await reader.readexactly(int(lower[at : lower.index(b"\r", at)]))
        latencies.append(time.perf_counter() - start)
        status = int(head[9:12])
        statuses[status] = statuses.get(status, 0) + 1
        answers[number % len(requests)] = body
    writer.close()


async def load(port, requests, clients, count):
    numbers = iter(range(count))
    statuses, answers, latencies = {}, {}, []
    start = time.perf_counter()
    await asyncio.gather(
        *(client(port, requests, lambda: next(numbers, None), statuses, answers, latencies) for _ in range(clients))
    )
    seconds = time.perf_counter() - start
    return {"seconds": seconds, "statuses": statuses, "answers": answers, "latencies": latencies}


def main():
    port, path = int(sys.argv[1]), sys.argv[2]
    bodies, headers = pickle.load(sys.stdin.buffer)
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    requests = [
        f"POST {path} HTTP/1.1\r\nHost: x\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body
        for body in bodies
    ]
    for line in sys.stdin.buffer:
        clients, count = map(int, line.split())
        pickle.dump(asyncio.run(load(port, requests, clients, count)), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
