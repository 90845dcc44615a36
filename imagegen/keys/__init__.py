"""API keys: where they come from, and which of them may send now."""
