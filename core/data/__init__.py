"""From rows to labelled examples: where rows come from, which column is which, what labels mean."""
