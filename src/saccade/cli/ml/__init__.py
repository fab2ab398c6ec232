"""Commands for models: train, evaluate, predict, models."""
