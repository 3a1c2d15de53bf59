"""What an adapter is; how it is stored, run, trained and judged.

Knows no pluggy, no HTTP and no terminal. Importing it imports no torch, transformers or peft.
"""
