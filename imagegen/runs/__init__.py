"""One run: lock, checks, record, detached start."""
