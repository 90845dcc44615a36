"""The command that serves the page for the browser: `serve`."""

import contextlib
import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imagegen.cli import extras
from imagegen.cli.help import examples
from imagegen.cli.options import (
    BaseUrlOption,
    BeatsOption,
    KeysOption,
    ModelOption,
    ProjectArgument,
    ProviderOption,
    absolute,
    make_request,
    whole_number,
)
from imagegen.errors import UsageError

if TYPE_CHECKING:
    from imagegen.project.layout import ProjectPaths
    from imagegen.web.auth import Auth

SERVE: Final = "Page"
_LARGEST_PORT: Final = 65535

EPILOG: Final = examples(
    ("imagegen serve my-video", "opens the page in the browser"),
    ("imagegen serve my-video --no-browser", "only prints its URL"),
    ("imagegen serve my-video --port 8000", "always uses the same port"),
)


def serve(
    project: ProjectArgument = Path(),
    *,
    port: Annotated[
        int | None,
        typer.Option(
            "--port",
            metavar="N",
            help="Port; 0 is any free one.  [default: 0]",
            parser=whole_number("--port", 0, _LARGEST_PORT, example=8765),
            show_default=False,
            rich_help_panel=SERVE,
        ),
    ] = None,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser", help="Print the URL; do not open a browser.", rich_help_panel=SERVE
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="ADDRESS",
            help="Listen at this address.  [default: 127.0.0.1, only this machine]",
            show_default=False,
            rich_help_panel=SERVE,
        ),
    ] = "127.0.0.1",
    other_machines: Annotated[
        bool,
        typer.Option(
            "--allow-other-machines",
            help="Allow other machines to connect. Anyone with the URL can spend your quota, "
            "and traffic is not encrypted.",
            rich_help_panel=SERVE,
        ),
    ] = False,
    allow_origin: Annotated[
        str | None,
        typer.Option(
            "--allow-origin",
            metavar="ORIGIN",
            help="Also accept requests, with the token, from pages of this origin: "
            "http://localhost:3000.",
            show_default=False,
            rich_help_panel=SERVE,
        ),
    ] = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    beats: BeatsOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
) -> None:
    """Open a page to watch a run, review the images and choose the best of each beat.

    A run that you start in the page continues when you close the page or stop this command. It
    uses the provider and model given here, or those of imagegen.toml. Ctrl-C stops the page.
    """
    try:
        from imagegen.web import auth, server
    except ImportError as error:
        raise extras.missing_extra("serve", "web") from error
    from imagegen.cli.watch import exit_cleanly_on_signal
    from imagegen.web.board import BoardCache
    from imagegen.web.entrance import entrance

    if not auth.is_loopback(host) and not other_machines:
        raise UsageError(
            f"--host {host} can be reached by other machines",
            hint="to allow that, add --allow-other-machines",
        )
    if allow_origin is not None:
        auth.require_origin(allow_origin)
    boards = BoardCache(
        project, make_request(provider=provider, model=model, beats_file=absolute(beats))
    )
    # Report errors of the project before anything is opened.
    boards.read()
    values = {"beats": absolute(beats), "keys": absolute(keys), "base-url": base_url}
    options = [f"--{name}={value}" for name, value in values.items() if value is not None]
    gc.enable()

    listening = server.listen(host, port or 0)
    opened = auth.Auth(host, listening.getsockname()[1], allow_origin)
    with contextlib.ExitStack() as at_end:

        def ready() -> None:
            _print_url(boards.layout, opened, alone=not other_machines)
            if not no_browser and _has_screen():
                _open(at_end.enter_context(entrance(opened)))

        try:
            with exit_cleanly_on_signal():
                server.serve(boards, listening, opened, options, ready)
        except KeyboardInterrupt:
            _leave(boards.layout, project)


def _open(file: Path | None) -> None:
    """Open a file in the browser, without waiting for it."""
    import threading
    import webbrowser

    if file is None:
        from imagegen.display import terminal

        terminal.printer().line(
            "The browser was not opened: the state folder is not writable. Open the URL."
        )
        return
    threading.Thread(target=webbrowser.open, args=[file.as_uri()], daemon=True).start()


def _print_url(layout: "ProjectPaths", opened: "Auth", *, alone: bool) -> None:
    """Print the URL of the page, on a line of its own, never wrapped."""
    from imagegen.display import terminal

    printer = terminal.printer()
    printer.line(f"{layout.name} is at")
    printer.line(f"  {opened.address(opened.token)}")
    if not alone:
        printer.line("  Anyone with this URL can spend your quota.")
    printer.line("Ctrl-C stops the page; a run continues without it.")
    sys.stdout.flush()


def _leave(layout: "ProjectPaths", path: Path) -> None:
    from imagegen.display import terminal
    from imagegen.project import record
    from imagegen.shell import project_command

    printer = terminal.printer()
    active = record.active_run(layout)
    if active is None:
        printer.line("The page is closed; nothing is running.")
        return
    printer.line(f"The page is closed; process {active.pid} continues drawing.")
    printer.command_list(
        (project_command("status", path, "--watch"), "follows it"),
        (project_command("stop", path), "stops it; resume draws the rest"),
    )


def _has_screen() -> bool:
    """Return whether a browser can open a window for the user."""
    if not sys.stdout.isatty():
        return False
    if sys.platform in {"win32", "darwin"}:
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
