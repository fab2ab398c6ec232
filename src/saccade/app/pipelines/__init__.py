"""Pipelines in a workspace: plan, run and explain them, and the operations that need the workspace."""
