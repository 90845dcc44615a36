"""The image API as cheap as it can be: a process of its own that costs the benches little.

    python bench/local_server.py --latency 8 --limit 9

Prints its address and serves until it is killed. Every answer is the same picture, made once. For
each key (or group of keys) a rolling window or a token bucket is enforced. `GET /stats` tells what
was asked of it so far, as JSON; answers to requests with a header `x-somebody-else` are left out.
"""

import argparse
import asyncio
import base64
import io
import json
import random
from collections import Counter, deque
from pathlib import Path

from PIL import Image

WINDOW = 60.0


class Quota:
    """What one group of keys may send: `limit` in any rolling minute, or from a bucket."""

    def __init__(self, limit: int | None, *, bucket: bool) -> None:
        self._limit = limit
        self._bucket = bucket
        self._granted: deque[float] = deque()
        self._tokens = float(limit or 0)
        self._filled = 0.0

    def allows(self, now: float) -> float:
        """Count a request that arrives now; returns 0, or in how many seconds to come again."""
        if self._limit is None:
            return 0.0
        if self._bucket:
            return self._from_bucket(now, self._limit)
        while self._granted and self._granted[0] <= now - WINDOW:
            self._granted.popleft()
        if len(self._granted) >= self._limit:
            return self._granted[0] + WINDOW - now
        self._granted.append(now)
        return 0.0

    def _from_bucket(self, now: float, limit: int) -> float:
        if self._filled:
            self._tokens = min(limit, self._tokens + (now - self._filled) * limit / WINDOW)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) * WINDOW / limit
        self._tokens -= 1
        return 0.0


class Api:
    """What all connections share: the answers, the quotas and the figures."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.latency: float = options.latency
        self.faults: float = options.faults
        self._options = options
        self._quotas: dict[str, Quota] = {}
        self._random = random.Random(7)
        self.picture = _answer(200, _picture(options.picture_bytes))
        self.broken = _answer(503, {"error": {"code": 503, "status": "UNAVAILABLE"}})
        self.in_flight = 0
        self.most_in_flight = 0
        self.statuses: Counter[int] = Counter()
        self.late: Counter[int] = Counter()
        self.by_key: Counter[str] = Counter()
        self.minutes: Counter[int] = Counter()
        self.first = self.last = 0.0

    def decide(self, key: str, now: float) -> tuple[int, bytes]:
        """Return the status and the whole answer for a drawing request that arrives now."""
        self.first = self.first or now
        self.last = now
        for mode, keys in (("spent", self._options.spent), ("cooling", self._options.cooling)):
            if key in keys:
                return 429, _refusal(30.0, day=mode == "spent")
        group = self._options.groups.get(key, key)
        if group not in self._quotas:
            limit = self._options.limits.get(key, self._options.limit)
            self._quotas[group] = Quota(limit, bucket=self._options.bucket)
        wait = self._quotas[group].allows(now)
        if wait > 0:
            return 429, _refusal(wait)
        if self.faults and self._random.random() < self.faults:
            return 503, self.broken
        self.by_key[key] += 1
        self.minutes[int((now - self.first) / WINDOW)] += 1
        return 200, self.picture

    def stats(self) -> dict[str, object]:
        """Return the figures so far.

        `late` are answers after the first minute, `minutes` what was granted in each.
        """
        return {
            "statuses": dict(self.statuses),
            "late": dict(self.late),
            "by_key": dict(self.by_key),
            "minutes": dict(self.minutes),
            "most_in_flight": self.most_in_flight,
            "span": self.last - self.first,
        }


class Connection(asyncio.Protocol):
    """One client, one request at a time."""

    def __init__(self, api: Api, loop: asyncio.AbstractEventLoop) -> None:
        self._api = api
        self._loop = loop
        self._data = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in what came, and answer a request that is whole."""
        self._data += data
        end = self._data.find(b"\r\n\r\n")
        if end < 0:
            return
        head = bytes(self._data[:end])
        fields = dict(
            line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line
        )
        length = int(fields.get(b"content-length", b"0"))
        if len(self._data) < end + 4 + length:
            return
        del self._data[: end + 4 + length]
        if head.startswith(b"GET"):
            self._send(200, _answer(200, self._api.stats()), count=False)
            return
        # Header values keep their case: the key is found in the head as it came.
        key = head[head.lower().find(b"x-goog-api-key: ") + 16 :].split(b"\r\n", 1)[0].decode()
        status, answer = self._api.decide(key, self._loop.time())
        ours = b"x-somebody-else" not in fields
        if status == 429:
            self._send(status, answer, count=ours)
            return
        self._api.in_flight += 1
        self._api.most_in_flight = max(self._api.most_in_flight, self._api.in_flight)
        if self._api.latency:
            self._loop.call_later(self._api.latency, self._finish, status, answer, ours)
        else:
            self._finish(status, answer, ours)

    def _finish(self, status: int, answer: bytes, count: bool) -> None:  # noqa: FBT001
        self._api.in_flight -= 1
        self._send(status, answer, count=count)

    def _send(self, status: int, answer: bytes, *, count: bool = True) -> None:
        if count:
            self._api.statuses[status] += 1
            self._api.late[status] += self._loop.time() > self._api.first + WINDOW
        if not self._transport.is_closing():
            self._transport.write(answer)


def _picture(size: int) -> object:
    pixels = max(1, size // 3)
    height = max(1, int((pixels * 9 / 16) ** 0.5))
    width = max(1, pixels // height)
    noise = random.Random(1).randbytes(width * height * 3)
    file = io.BytesIO()
    Image.frombytes("RGB", (width, height), noise).save(file, "PNG", compress_level=0)
    data = base64.b64encode(file.getvalue()).decode()
    return {
        "candidates": [
            {
                "content": {"parts": [{"inlineData": {"mimeType": "image/png", "data": data}}]},
                "finishReason": "STOP",
            }
        ],
        "usageMetadata": {"promptTokenCount": 30, "candidatesTokenCount": 1120},
    }


def _refusal(wait: float, *, day: bool = False) -> bytes:
    quota = "PerDayPerProjectPerModel" if day else "PerMinutePerProjectPerModel"
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.QuotaFailure",
            "violations": [{"quotaId": f"GenerateRequests{quota}"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": f"{wait:.3f}s"},
    ]
    error = {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": details}
    return _answer(429, {"error": error})


def _answer(status: int, content: object) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


async def serve(options: argparse.Namespace) -> None:
    """Serve until cancelled; the first line printed is the address."""
    loop = asyncio.get_running_loop()
    api = Api(options)
    server = await loop.create_server(
        lambda: Connection(api, loop), "127.0.0.1", options.port, backlog=1024
    )
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


def main() -> None:
    """Read the options and serve."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before an answer")
    parser.add_argument("--picture-bytes", type=int, default=1_500_000)
    parser.add_argument("--limit", type=int, help="requests a minute for each key")
    parser.add_argument("--bucket", action="store_true", help="as a token bucket")
    parser.add_argument("--faults", type=float, default=0.0, help="share of 503s")
    parser.add_argument("--config", type=Path, help="JSON: limits, groups, spent, cooling by key")
    options = parser.parse_args()
    config = json.loads(options.config.read_text()) if options.config else {}
    options.limits = config.get("limits", {})
    options.groups = config.get("groups", {})
    options.spent = set(config.get("spent", ()))
    options.cooling = set(config.get("cooling", ()))
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
