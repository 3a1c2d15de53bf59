"""Others who answer the same texts with the same adapters; one file a peer, in its best settings."""
