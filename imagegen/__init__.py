"""Draws every beat of a storyboard in several styles, within the quotas of an image API."""

__version__ = "0.1.0"
