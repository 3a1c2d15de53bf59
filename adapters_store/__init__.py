"""Starter adapters, trained by this project's own command and shipped in the wheel."""
