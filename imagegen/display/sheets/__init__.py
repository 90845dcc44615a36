"""Contact sheets, as a page or an image."""
