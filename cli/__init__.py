"""The terminal face, one file a subcommand."""
