"""Listeners that show a run while it happens."""
