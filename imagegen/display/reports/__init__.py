"""Screens that are printed once, one module each."""
