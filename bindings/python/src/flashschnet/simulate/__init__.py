"""Runs of dynamics from a configuration file: what ``flashschnet simulate`` does.

| file | what |
| --- | --- |
| ``config.py`` | the configuration: mlcg's keys and ours, checked |
| ``molecules.py`` | starting structures from mlcg's files, extended XYZ, PDB |
| ``tables.py`` | the run's tables: CSV, Parquet |
| ``folder.py`` | a run's folder: what is written when, so that a kill at any moment loses only the last interval |
| ``runner.py`` | the loop: steps, progress, signals |
| ``plot.py`` | pictures of a run |
| ``surface.py`` | free-energy surfaces among them |
"""

from .config import Config, ConfigError
from .folder import RunFolder
from .plot import plot
from .runner import simulate

__all__ = ["Config", "ConfigError", "RunFolder", "plot", "simulate"]
