"""What happens in a run: the seam between the engine, displays and other programs."""
