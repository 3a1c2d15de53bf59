"""How good answers are, on published data sets that are not part of this repository."""
