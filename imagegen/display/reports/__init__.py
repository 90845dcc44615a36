"""What is printed once, one module for each screen."""
