"""Change which image belongs to which beat."""
