"""From labelled examples to a published adapter with a report."""
