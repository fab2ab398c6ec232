"""Use cases on models: train, evaluate, predict and compare."""
