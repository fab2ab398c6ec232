"""Pipelines in a workspace: plan, run and explain, and the steps that read and write datasets and models."""
