"""Hands the chosen images on to the steps after imagegen: SVG, a timeline, a film."""
