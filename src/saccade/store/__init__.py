"""The workspace: datasets and their versions, objects, models, runs and evaluations."""
