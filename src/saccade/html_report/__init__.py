"""HTML pages that need no other file, no network and no script: what they are made of, plots and pictures."""
