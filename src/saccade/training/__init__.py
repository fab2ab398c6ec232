"""Training: recipes, data loading, augmentation, the training loop, checkpoints."""
