"""Draws a plan: workers, retries, outages, endings."""
