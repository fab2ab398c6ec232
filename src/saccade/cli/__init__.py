"""The command line: one file per command that parses, calls the app and prints."""
