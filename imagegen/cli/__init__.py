"""The command line."""

from imagegen.cli.entry import main

__all__ = ["main"]
