"""Traces images to SVG, in processes of their own."""
