"""Hydra launchers that answer what is finished, and can give each job of a sweep a process of its own."""
