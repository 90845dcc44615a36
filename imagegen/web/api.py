"""The JSON API of the page and other tools."""

from collections.abc import AsyncGenerator
from typing import Any

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagegen.errors import UsageError
from imagegen.events.types import Event, StartFailed
from imagegen.web import older
from imagegen.web.board import BoardCache
from imagegen.web.choices import ChoiceRequest, Choices
from imagegen.web.follower import Follower, News, StreamPosition
from imagegen.web.responses import RefusedError, answer, body_of, decoded
from imagegen.web.runs import RunController, WebDrawRequest
from imagegen.web.stream import EventStream


class Api:
    """The API of one project; no request can name another."""

    def __init__(
        self, boards: BoardCache, runs: RunController, follower: Follower, choices: Choices
    ) -> None:
        self._boards = boards
        self._layout = boards.layout
        self._runs = runs
        self._follower = follower
        self._choices = choices

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/api/project", self._project),
            Route("/api/events", self._events),
            Route("/api/generate-images", self._generate, methods=["POST"]),
            Route("/api/stop-generation", self._stop, methods=["POST"]),
            Route("/api/generation-status", self._status),
            Route("/api/generation-status/{project:path}", self._status),
            Route("/api/get-generation-progress", self._progress, methods=["POST"]),
            Route("/api/get-generated-images", self._images, methods=["POST"]),
            Route("/api/get-image-selections", self._entries, methods=["POST"]),
            Route("/api/image-selections", self._selections),
            Route("/api/save-image-selection", self._select, methods=["POST"]),
        ]

    async def _project(self, _: Request) -> Response:
        """Everything that the page shows, but for what happens from now on."""
        return answer(await to_thread.run_sync(self._whole))

    def _whole(self) -> dict[str, object]:
        # In this order: a change meanwhile is noticed, or was seen already.
        run = self._runs.standing()
        board = self._boards.read()
        content = {
            "success": True,
            "run": run,
            "ended": self._runs.final_event(run),
            "board": board,
        }
        try:
            return content | {"chosen": self._choices.read()}
        except UsageError as error:
            # Choosing fails until it is fixed; the rest can be shown.
            return content | {"chosen": [], "choices_fault": error.message}

    async def _events(self, request: Request) -> EventStream:
        since = StreamPosition.read(request.headers.get("last-event-id"))
        # Before the answer begins, so that the client misses no event.
        snapshot = await self._follower.look()
        return EventStream(lambda: self._follower.runs(since, snapshot))

    async def _generate(self, request: Request) -> EventStream:
        draw_request = await body_of(request, WebDrawRequest)
        self._refuse_other(draw_request.project_path)
        begun = await to_thread.run_sync(self._runs.start, draw_request)
        if draw_request.project_path is None:
            return EventStream(lambda: self._of(begun))
        numbers = older.written(await to_thread.run_sync(self._boards.project))
        return EventStream(lambda: older.translated(self._of(begun), numbers), b"")

    def _of(self, begun: str | StartFailed) -> AsyncGenerator[News]:
        if isinstance(begun, StartFailed):
            return _alone(begun)
        return self._follower.run(begun)

    async def _stop(self, request: Request) -> Response:
        await self._named(request)
        stopped = await to_thread.run_sync(self._runs.stop)
        run = stopped.run if stopped else None
        message = "requests in flight are finished first" if stopped else "no run is active"
        return answer({"success": True, "active": bool(stopped), "run": run, "message": message})

    async def _status(self, request: Request) -> Response:
        self._refuse_other(request.path_params.get("project"))
        return answer(await to_thread.run_sync(self._counted))

    async def _progress(self, request: Request) -> Response:
        await self._named(request)
        return answer(await to_thread.run_sync(self._counted))

    def _counted(self) -> dict[str, object]:
        run = self._runs.standing()
        board = self._boards.read()
        state = msgspec.structs.asdict(run) | {"isGenerating": run.active}
        completed = {style: counts.completed_beats for style, counts in board.styles.items()}
        done = older.progress_of(self._boards.project(), completed)
        identity = {"success": True, "project": board.project}
        return {**identity, **state, "styles": board.styles, "progress": done}

    async def _named(self, request: Request) -> None:
        """Refuse a request that names another project."""
        reference = await body_of(request, older.Named)
        self._refuse_other(reference.project)
        self._refuse_other(reference.project_path)

    def _refuse_other(self, name_or_path: str | None) -> None:
        """Compare a name or path with the project's; nothing is looked for there."""
        if name_or_path is not None and not older.is_project(self._layout, name_or_path):
            raise RefusedError(404, "this server serves another project")

    async def _images(self, request: Request) -> Response:
        await self._named(request)
        images = await to_thread.run_sync(lambda: older.images(self._boards.project()))
        return answer({"success": True, "images": images})

    async def _entries(self, request: Request) -> Response:
        await self._named(request)
        entries = await to_thread.run_sync(self._choices.entries)
        return answer({"success": True, "selections": entries})

    async def _selections(self, _: Request) -> Response:
        chosen = await to_thread.run_sync(self._choices.read)
        return answer({"success": True, "selections": chosen})

    async def _select(self, request: Request) -> Response:
        data = await request.body()
        if "beatNumber" in decoded(data, dict[str, Any]):
            choice = decoded(data, older.Choice)
            self._refuse_other(choice.project_path)
            saved = await to_thread.run_sync(self._choices.save_as_older, choice)
        else:
            choice_request = decoded(data, ChoiceRequest)
            saved = await to_thread.run_sync(self._choices.save, choice_request)
        return answer({"success": True, "selection": saved})


async def _alone(event: Event) -> AsyncGenerator[News]:
    yield event
