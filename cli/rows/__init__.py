"""Files of texts in, the same files with answers out: reading, answering and writing rows."""
