"""Chosen images: image_selections.json and its folder of copies."""
