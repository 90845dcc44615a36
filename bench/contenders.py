"""What imagegen is measured against: the least that can be done, and what people write.

    python bench/contenders.py floor JOB.json

A job is a JSON object: `address`, `beats` (style and file name of each), `keys` by style, `folder`.
Every contender draws the same beats to the same files; whoever starts it measures it.

- `floor`: the cheapest client on the same sockets, one request after the other: http.client,
  msgspec, write, fsync, rename. `floor-threads`: the same in as many threads as `threads` says.
- `sdk`: Google's SDK with a thread pool and its built-in retries, one client a key, in turn.
- `recipe`: one loop a style with a pause of 60/9 seconds, the next key after a 429.
"""

import http.client
import itertools
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

MODEL = "gemini-3.1-flash-image"
PATH = f"/v1beta/models/{MODEL}:generateContent"
PROMPT = "A white lighthouse on a black cliff at dusk, its lamp just lit"

Job = dict[str, Any]


def _body() -> bytes:
    config = {
        "responseModalities": ["TEXT", "IMAGE"],
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "1K"},
    }
    contents = [{"role": "user", "parts": [{"text": PROMPT}]}]
    return json.dumps({"contents": contents, "generationConfig": config}).encode()


def _save(path: Path, data: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb", buffering=0) as file:
        file.write(data)
        os.fsync(file.fileno())
    temporary.replace(path)


def floor(job: Job) -> None:
    """Draw with the least that Python needs for it."""
    import msgspec

    class Inline(msgspec.Struct):
        data: bytes

    class Part(msgspec.Struct, rename="camel"):
        inline_data: Inline | None = None

    class Content(msgspec.Struct):
        parts: list[Part]

    class Candidate(msgspec.Struct):
        content: Content

    class Answer(msgspec.Struct):
        candidates: list[Candidate]

    decoder = msgspec.json.Decoder(Answer)
    parts = urlsplit(job["address"])
    body = _body()
    beats: queue.SimpleQueue[tuple[str, str]] = queue.SimpleQueue()
    for style, name in job["beats"]:
        beats.put((style, name))
    keys = {style: itertools.cycle(own) for style, own in job["keys"].items()}

    def work() -> None:
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port)
        while True:
            try:
                style, name = beats.get_nowait()
            except queue.Empty:
                connection.close()
                return
            headers = {"x-goog-api-key": next(keys[style]), "Content-Type": "application/json"}
            connection.request("POST", PATH, body, headers)
            answer = decoder.decode(connection.getresponse().read())
            inline = answer.candidates[0].content.parts[0].inline_data
            assert inline is not None
            _save(Path(job["folder"]) / style / name, inline.data)

    threads = [threading.Thread(target=work) for _ in range(job.get("threads", 1))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def sdk(job: Job) -> None:
    """Draw with Google's SDK as its users do."""
    from google import genai
    from google.genai import types

    retries = types.HttpRetryOptions(attempts=20, initial_delay=1.0, max_delay=60.0)
    options = types.HttpOptions(base_url=job["address"], retry_options=retries)
    clients = {
        style: itertools.cycle([genai.Client(api_key=key, http_options=options) for key in own])
        for style, own in job["keys"].items()
    }
    config = types.GenerateContentConfig(
        response_modalities=["TEXT", "IMAGE"],
        image_config=types.ImageConfig(aspect_ratio="16:9", image_size="1K"),
    )

    def draw(beat: tuple[str, str]) -> None:
        style, name = beat
        client = next(clients[style])
        answer: Any = client.models.generate_content(model=MODEL, contents=PROMPT, config=config)
        for part in answer.candidates[0].content.parts:
            if part.inline_data is not None:
                _save(Path(job["folder"]) / style / name, part.inline_data.data)
                return
        raise SystemExit("an answer without a picture")

    with ThreadPoolExecutor(job.get("threads", 8)) as pool:
        for _ in pool.map(draw, map(tuple, job["beats"])):
            pass


def recipe(job: Job) -> None:
    """Draw with one loop a style and a fixed pause, as found in many a script."""
    import base64

    import requests

    def loop(style: str, names: list[str], keys: Iterator[str]) -> None:
        key = next(keys)
        for name in names:
            while True:
                answer = requests.post(
                    job["address"] + PATH,
                    data=_body(),
                    headers={"x-goog-api-key": key, "Content-Type": "application/json"},
                    timeout=120,
                )
                if answer.status_code != 429:
                    break
                key = next(keys)
                time.sleep(1)
            parts = answer.json()["candidates"][0]["content"]["parts"]
            _save(
                Path(job["folder"]) / style / name, base64.b64decode(parts[0]["inlineData"]["data"])
            )
            time.sleep(job.get("pause", 60 / 9))

    threads = []
    for style, keys in job["keys"].items():
        names = [name for own, name in job["beats"] if own == style]
        threads.append(threading.Thread(target=loop, args=(style, names, itertools.cycle(keys))))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


CONTENDERS = {"floor": floor, "floor-threads": floor, "sdk": sdk, "recipe": recipe}


def main() -> None:
    """Do a job."""
    CONTENDERS[sys.argv[1]](json.loads(Path(sys.argv[2]).read_text()))


if __name__ == "__main__":
    main()
