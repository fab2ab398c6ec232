"""Pipeline operations on the workspace: import and export, training, prediction and evaluation."""
