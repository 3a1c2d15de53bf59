"""Built-in domains, one folder each, and the reader of domain folders."""
