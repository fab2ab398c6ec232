"""The SQL catalog: tables, sessions, references, names and migrations."""
