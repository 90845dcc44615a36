"""New project, new key, key check."""
