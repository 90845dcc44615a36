"""Storyboards: the beats of a project, from whichever file holds their prompts."""

from imagegen.project.storyboard.beat import Beat, BeatAddress, BeatKey, Storyboard
from imagegen.project.storyboard.compare import differences
from imagegen.project.storyboard.load import NoBeatsError, alike, candidate_files, load, unused
from imagegen.project.storyboard.numbers import file_number
from imagegen.project.storyboard.rewrite import Written, write_clean

__all__ = [
    "Beat",
    "BeatAddress",
    "BeatKey",
    "NoBeatsError",
    "Storyboard",
    "Written",
    "alike",
    "candidate_files",
    "differences",
    "file_number",
    "load",
    "unused",
    "write_clean",
]
