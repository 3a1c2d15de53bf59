"""Published adapters on disk: their manifest, versions and current pointer."""
