"""Storyboards: the beats of a project, from whichever file holds their prompts."""

from imagegen.project.storyboard.beat import Beat, Key, Storyboard
from imagegen.project.storyboard.compare import differences
from imagegen.project.storyboard.load import NoBeatsError, alike, load, places, unused
from imagegen.project.storyboard.numbers import file_number
from imagegen.project.storyboard.rewrite import Written, write_clean

__all__ = [
    "Beat",
    "Key",
    "NoBeatsError",
    "Storyboard",
    "Written",
    "alike",
    "differences",
    "file_number",
    "load",
    "places",
    "unused",
    "write_clean",
]
