"""Which adapter a text belongs to, if to any: ``--adapter auto``."""
