"""Recipes, loading, augmentation, the loop, checkpoints."""
