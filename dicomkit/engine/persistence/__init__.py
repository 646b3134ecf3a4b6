"""Persistence: one medium per module; SQL is written here and nowhere else."""
