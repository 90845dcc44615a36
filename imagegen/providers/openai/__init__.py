"""OpenAI's Images API and compatible servers."""
