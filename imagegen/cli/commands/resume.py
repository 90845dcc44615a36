"""The command that continues the last run: `resume`."""

from pathlib import Path
from typing import Final

from imagegen.cli.draw import DRAW_EXITS, draw
from imagegen.cli.help import examples
from imagegen.cli.options import (
    AwakeOption,
    BaseUrlOption,
    DetachOption,
    ExecutionOptions,
    KeysOption,
    MaxCostOption,
    MaxTimeOption,
    ProgressOption,
    ProjectArgument,
    VerboseOption,
    View,
    YesOption,
)

EPILOG: Final = (
    examples(
        ("imagegen resume my-video", "draws the rest"),
        ("imagegen resume my-video --max-cost 5", "spends at most 5 dollars more"),
    )
    + "\n\n"
    + DRAW_EXITS
)


def resume(
    project: ProjectArgument = Path(),
    *,
    yes: YesOption = False,
    max_time: MaxTimeOption = None,
    max_cost: MaxCostOption = None,
    keys: KeysOption = None,
    base_url: BaseUrlOption = None,
    progress: ProgressOption = View.AUTO,
    verbose: VerboseOption = False,
    detach: DetachOption = False,
    keep_awake: AwakeOption = False,
) -> None:
    """Continue the last run with its styles, shots, beats, shard, provider and model.

    With --force it redraws only what the last run did not get to. Keys, URLs, --limit and the
    options below are not remembered.
    """
    execution = ExecutionOptions(
        keys=keys,
        base_url=base_url,
        view=progress,
        max_time=max_time,
        max_cost=max_cost,
        detach=detach,
        keep_awake=keep_awake,
        verbose=verbose,
        sure=yes,
    )
    draw(project, None, execution)
