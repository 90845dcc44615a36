"""From beats to pictures: what is left to draw, and the drawing of it."""
