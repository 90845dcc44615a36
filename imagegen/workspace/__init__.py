"""An opened project, compared with what is on disk."""
