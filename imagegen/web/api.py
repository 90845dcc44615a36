"""What the page and other tools may ask, as JSON."""

from collections.abc import AsyncGenerator

import msgspec
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from imagegen.errors import UsageError
from imagegen.generation.events import Event, Failed
from imagegen.project.record import RunRecord
from imagegen.web.answers import RefusedError, answer, body_of
from imagegen.web.board import Boards
from imagegen.web.choices import Choices, Text, Wanted
from imagegen.web.drawing import Asked, Runs
from imagegen.web.follower import Follower, News, Place
from imagegen.web.stream import EventStream


class _Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project that a tool names; of the older service's other fields none is looked at."""

    project: Text | None = None


class Api:
    """Answers for one project: no request can name another."""

    def __init__(self, boards: Boards, runs: Runs, follower: Follower, choices: Choices) -> None:
        self._boards = boards
        self._layout = boards.layout
        self._runs = runs
        self._follower = follower
        self._choices = choices

    def routes(self) -> list[Route]:
        """Return where each answer is found."""
        return [
            Route("/api/project", self._project),
            Route("/api/events", self._events),
            Route("/api/generate-images", self._generate, methods=["POST"]),
            Route("/api/stop-generation", self._stop, methods=["POST"]),
            Route("/api/generation-status", self._status),
            Route("/api/generation-status/{project}", self._status),
            Route("/api/get-generation-progress", self._progress, methods=["POST"]),
            Route("/api/image-selections", self._selections),
            Route("/api/save-image-selection", self._select, methods=["POST"]),
        ]

    async def _project(self, _: Request) -> Response:
        """Everything that the page shows, but for what happens from now on."""
        return answer(await to_thread.run_sync(self._whole))

    def _whole(self) -> dict[str, object]:
        # In this order: what happens meanwhile is heard of, or seen already.
        run = self._runs.standing()
        board = self._boards.read()
        told = {
            "success": True,
            "run": run,
            "ended": self._runs.last_word(run),
            "board": board,
        }
        try:
            return told | {"chosen": self._choices.read()}
        except UsageError as error:
            # Whoever chooses has to mend it; the rest can be shown.
            return told | {"chosen": [], "choices_fault": error.message}

    async def _events(self, request: Request) -> EventStream:
        since = Place.read(request.headers.get("last-event-id"))
        # Before the answer begins: whoever has it misses nothing that happens then.
        seen = await self._follower.look()
        return EventStream(lambda: self._follower.runs(since, seen))

    async def _generate(self, request: Request) -> EventStream:
        asked = await body_of(request, Asked)
        begun = await to_thread.run_sync(self._runs.begin, asked)
        return EventStream(lambda: self._of(begun))

    def _of(self, begun: RunRecord | Failed) -> AsyncGenerator[News]:
        if isinstance(begun, Failed):
            return _alone(begun)
        return self._follower.run(begun.run)

    async def _stop(self, _: Request) -> Response:
        stopped = await to_thread.run_sync(self._runs.stop)
        run = stopped.run if stopped else None
        message = "it finishes what is in flight" if stopped else "nothing is running"
        return answer({"success": True, "active": bool(stopped), "run": run, "message": message})

    async def _status(self, request: Request) -> Response:
        self._refuse_other(request.path_params.get("project"))
        return answer(await to_thread.run_sync(self._counted))

    async def _progress(self, request: Request) -> Response:
        self._refuse_other((await body_of(request, _Project)).project)
        return answer(await to_thread.run_sync(self._counted))

    def _counted(self) -> dict[str, object]:
        run = self._runs.standing()
        board = self._boards.read()
        told = msgspec.structs.asdict(run)
        return {"success": True, "project": board.project, **told, "styles": board.styles}

    def _refuse_other(self, project: str | None) -> None:
        """Compare a name with the project's; nothing of that name is looked for."""
        if project is not None and project != self._layout.name:
            raise RefusedError(404, "this server has another project")

    async def _selections(self, _: Request) -> Response:
        chosen = await to_thread.run_sync(self._choices.read)
        return answer({"success": True, "selections": chosen})

    async def _select(self, request: Request) -> Response:
        wanted = await body_of(request, Wanted)
        saved = await to_thread.run_sync(self._choices.save, wanted)
        return answer({"success": True, "selection": saved})


async def _alone(event: Event) -> AsyncGenerator[News]:
    yield event
