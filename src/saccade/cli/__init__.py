"""Command-line interface: one module per command that parses arguments, calls ``app`` and prints the result."""
