"""The command that checks a project's files: `check`."""

import time
from pathlib import Path
from typing import Annotated, Final

import typer

from imagegen.cli import complete
from imagegen.cli.help import examples
from imagegen.cli.options import (
    BeatsOption,
    ContinuityOption,
    KeysOption,
    ModelOption,
    ProjectArgument,
    ProviderOption,
    absolute,
    make_request,
)

EPILOG: Final = examples(
    ("imagegen check my-video", "lists all errors in its files"),
    ("imagegen check my-video --show clear/7.3", "prints the request for a beat"),
    ("imagegen check my-video --write", "saves the beats as a clean beats.json"),
)


def check(
    project: ProjectArgument = Path(),
    *,
    show: Annotated[
        list[str] | None,
        typer.Option(
            "--show",
            metavar="BEAT",
            help="Print the exact prompt and references that would be sent for this beat: 1.1, "
            "clear/1.1, 2/1.1 (in shot 2). Repeatable.",
            autocompletion=complete.beats,
        ),
    ] = None,
    write: Annotated[
        bool,
        typer.Option(
            "--write",
            help="Save the beats, from any format, as a clean beats.json. An existing "
            "beats.json is kept as beats.old.json.",
        ),
    ] = False,
    beats: BeatsOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    continuity: ContinuityOption = None,
    keys: KeysOption = None,
) -> None:
    """Check the project's files and list every error. Draws nothing.

    If imagegen.toml is too broken to determine which beats to read, only its errors are shown.
    """
    from imagegen.display import terminal
    from imagegen.project import storyboard
    from imagegen.review import older_images
    from imagegen.times import day
    from imagegen.workspace import model_checks
    from imagegen.workspace.credentials import CredentialOptions
    from imagegen.workspace.notes import project_notes, reading_notes
    from imagegen.workspace.opening import open_project

    printer = terminal.printer()
    request = make_request(
        provider=provider, model=model, continuity=continuity, beats_file=absolute(beats)
    )
    read = open_project(project, request, CredentialOptions(file=keys), wall=time.time())
    composer = read.composer
    beats_of_all = [beat for style_beats in read.beats.values() for beat in style_beats]
    model_checks.require_settings(read)
    if not show:
        model_checks.require_references(read, beats_of_all)
    for address in show or ():
        for beat in read.addresses.find(address):
            printer.request(
                beat,
                composer.request(beat, composer.predecessor_shown(beat)),
                overridden=bool(read.overrides.of(beat).prompt),
                before=composer.before(beat),
                left_out=composer.left_out(beat),
            )
    if not show:
        paid = read.settings if read.requires_keys else None
        printer.check(
            read.layout.name,
            read.storyboard.source,
            read.beats,
            paid,
            beats=read.beat_count,
            chained={style: len(predecessors) for style, predecessors in read.predecessors.items()},
            cast=read.characters_in(beats_of_all),
        )
        tails = {s: [key.secret.tail for key in read.ring.pool(s)] for s in read.styles}
        if read.requires_keys:
            printer.model(read.model, read.settings.image_size, model_checks.picture_price(read))
            printer.keys(tails, read.ring.source)
    beats_file = read.request.beats_file or read.settings.beats
    unused = (
        None
        if beats_file
        else storyboard.unused(read.root, read.storyboard.source, read.other_prompts)
    )
    hints = filter(None, (unused, older_images.notice(read), composer.short(beats_of_all)))
    about_model = model_checks.notes(read, beats_of_all, day(time.time()))
    for note in (
        *reading_notes(read),
        *project_notes(read),
        *read.ring.warnings,
        *hints,
        *about_model,
    ):
        printer.wrap("  note: ", note, indent=4)
    if write:
        written = storyboard.write_clean(
            read.root,
            tuple(read.settings.styles),
            beats=Path(beats_file) if beats_file else None,
        )
        printer.written(written, beats_file)
