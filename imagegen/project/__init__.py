"""A project's files on disk, read and written."""
