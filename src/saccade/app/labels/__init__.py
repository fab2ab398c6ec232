"""Use cases of label sets: label, follow the edits of others, commit."""
