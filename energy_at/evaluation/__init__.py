"""Judging a trained classifier or a training run."""
