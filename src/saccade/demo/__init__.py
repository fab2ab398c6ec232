"""The demo: the whole loop on synthetic harbour images."""
