"""Renders a film of the chosen images: a clip for each beat, joined and laid over the narration."""
