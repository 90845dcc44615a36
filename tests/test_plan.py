"""What is left to draw."""

from collections.abc import Callable

import pytest

from builders import beat, provenance
from imagegen.images import png
from imagegen.project.beat_status import Status
from imagegen.project.progress import BeatError
from imagegen.project.storyboard import Beat
from imagegen.workspace import plan as plans
from imagegen.workspace.plan import Plan, RedrawPolicy
from imagegen.workspace.survey import BeatImage, ImageState

FAILED = BeatError(cause="refused", reason="SAFETY", message="not drawn")


def surveyed(
    found: ImageState, number: str = "1", style: str = "clear", run: str = ""
) -> BeatImage:
    """Return a beat and what lies at its place."""
    whole = png.PngInfo(8, 5, provenance(run=run)) if found is ImageState.VALID else None
    return BeatImage(beat(number, style=style), found, whole)


def everything(_: Beat) -> bool:
    """Ask for every beat."""
    return True


def drawn(plan: Plan) -> dict[str, list[str]]:
    """Return the numbers that are drawn, by style."""
    return {style: [p.beat.beat for p in own if p.draw] for style, own in plan.styles.items()}


@pytest.mark.parametrize(
    ("found", "draws", "status"),
    [
        (ImageState.NOTHING, True, Status.PENDING),
        (ImageState.INVALID, True, Status.PENDING),
        (ImageState.VALID, False, Status.SKIPPED),
        (ImageState.CONVERTIBLE, False, Status.SKIPPED),
    ],
)
def test_what_has_its_picture_is_skipped(found: ImageState, *, draws: bool, status: Status) -> None:
    """A beat is drawn unless its picture is there, as PNG or under a PNG's name."""
    (planned,) = plans.make_plan({"clear": [surveyed(found)]}, everything).styles["clear"]
    assert (planned.draw, planned.status, planned.found) == (draws, status, found)


def test_beats_that_were_not_asked_for_are_counted_apart() -> None:
    """A plan holds what was asked for, in file order, and counts the rest."""
    beats = [surveyed(ImageState.NOTHING, str(number)) for number in range(10)]
    asked: Callable[[Beat], bool] = lambda one: one.beat in {"7", "3"}  # noqa: E731
    plan = plans.make_plan({"clear": beats, "consistent": []}, asked)
    assert drawn(plan) == {"clear": ["3", "7"], "consistent": []}
    assert (plan.total, plan.to_draw, plan.unselected_count) == (2, 2, 8)


def test_force_draws_what_is_there() -> None:
    """With force a beat that has its picture is drawn again, also one of unknown origin."""
    beats = [surveyed(ImageState.VALID, "1", run="r-0"), surveyed(ImageState.CONVERTIBLE, "2")]
    assert drawn(
        plans.make_plan({"clear": beats}, everything, redraws=RedrawPolicy(force=True))
    ) == {"clear": ["1", "2"]}
    foreign = [BeatImage(beat("3"), ImageState.VALID, png.PngInfo(8, 5))]
    plan = plans.make_plan(
        {"clear": foreign}, everything, redraws=RedrawPolicy(force=True, lineage="r-1")
    )
    assert drawn(plan) == {"clear": ["3"]}


def test_a_resumed_force_leaves_what_it_had_redrawn() -> None:
    """What the same run drew before it was interrupted is not drawn a second time."""
    beats = [
        surveyed(ImageState.VALID, "1", run="r-1"),
        surveyed(ImageState.VALID, "2", run="r-0"),
        surveyed(ImageState.NOTHING, "3"),
    ]
    plan = plans.make_plan(
        {"clear": beats}, everything, redraws=RedrawPolicy(force=True, lineage="r-1")
    )
    assert drawn(plan) == {"clear": ["2", "3"]}


def test_a_picture_without_a_run_belongs_to_no_lineage() -> None:
    """Force without a lineage redraws pictures whose run is not known."""
    plan = plans.make_plan(
        {"clear": [surveyed(ImageState.VALID)]}, everything, redraws=RedrawPolicy(force=True)
    )
    assert drawn(plan) == {"clear": ["1"]}


def test_a_limit_takes_the_styles_in_turn() -> None:
    """--limit counts beats of all styles together: the first of each, then the second."""
    styles = {
        "illustration": [surveyed(ImageState.NOTHING, str(n), "illustration") for n in range(1, 5)],
        "clear": [surveyed(ImageState.NOTHING, "1", "clear")],
        "consistent": [surveyed(ImageState.NOTHING, str(n), "consistent") for n in range(1, 5)],
    }
    expected = {
        0: ([], [], []),
        1: (["1"], [], []),
        3: (["1"], ["1"], ["1"]),
        4: (["1", "2"], ["1"], ["1"]),
        6: (["1", "2", "3"], ["1"], ["1", "2"]),
        99: (["1", "2", "3", "4"], ["1"], ["1", "2", "3", "4"]),
    }
    for limit, numbers in expected.items():
        plan = plans.make_plan(styles, everything, limit=limit)
        assert drawn(plan) == dict(zip(styles, numbers, strict=True))
        assert plan.to_draw == min(limit, 9)
        assert plan.total + plan.unselected_count == 9


def test_a_limit_counts_only_what_is_drawn() -> None:
    """Pictures that are there stay in the plan, and take nothing of the limit."""
    beats = [
        surveyed(ImageState.VALID, "1"),
        *(surveyed(ImageState.NOTHING, n) for n in ("2", "3")),
    ]
    plan = plans.make_plan({"clear": beats}, everything, limit=1)
    assert [p.beat.beat for p in plan.styles["clear"]] == ["1", "2"]
    assert drawn(plan) == {"clear": ["2"]}
    assert plan.unselected_count == 1


def test_beats_of_one_number_in_two_shots_are_two_beats() -> None:
    """A limit tells beats apart by shot as well."""
    beats = [BeatImage(beat("1", shot=shot), ImageState.NOTHING) for shot in ("1", "2")]
    assert plans.make_plan({"clear": beats}, everything, limit=1).to_draw == 1
