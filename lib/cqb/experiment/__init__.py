"""Experiments: settings, a resumable parallel sweep, and one tidy table of results."""

from .sweeps import load_table, run, sweep

__all__ = ["load_table", "run", "sweep"]
