"""A page in the browser to watch a run, review images and choose among them.

The only package that knows how pages are served. Needs the `web` extra.
"""
