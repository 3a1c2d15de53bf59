"""Built-in base models."""
