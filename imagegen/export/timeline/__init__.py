"""Exports the chosen images as a timeline for video editors, with the narration under them."""
