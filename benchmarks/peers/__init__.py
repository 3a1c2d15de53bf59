"""Others who answer the same texts with the same adapters, in their best settings; one a file."""
