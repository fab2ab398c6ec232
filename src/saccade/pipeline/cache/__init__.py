"""The result cache: keys, column files, per-item results and segments."""
