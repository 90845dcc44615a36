"""Safe, fitting text for any terminal."""
