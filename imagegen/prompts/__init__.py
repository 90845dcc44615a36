"""What is sent for a beat: prompt, look, references, order."""
