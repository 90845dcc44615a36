"""Storyboards: the beats of a project, from whichever file holds their prompts."""
