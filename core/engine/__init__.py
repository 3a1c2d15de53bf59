"""Engines: rows of (tokens, adapter) in, logits out."""
