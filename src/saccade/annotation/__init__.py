"""Label sets: the working copies in which people label, the log of their edits, and commits to versions."""
