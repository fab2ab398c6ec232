"""Commands on models: train, evaluate, predict, models."""
