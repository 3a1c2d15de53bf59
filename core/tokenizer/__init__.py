"""Token ids without `tokenizers`, which takes longer to load a large vocabulary than a model to
answer."""
