"""A plugin whose licence server is always away."""

raise RuntimeError("the licence server does not answer")
