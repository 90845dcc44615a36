"""What lies on disk: a project's files, read and written."""
