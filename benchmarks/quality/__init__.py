"""How good the answers are, on published data."""
