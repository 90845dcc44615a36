"""Image files: colours and lettering."""
