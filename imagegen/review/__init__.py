"""Look at results and choose the best."""
