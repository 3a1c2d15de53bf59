"""Adapters in and out of the store: directories of ours, and stock PEFT sequence classifiers."""
