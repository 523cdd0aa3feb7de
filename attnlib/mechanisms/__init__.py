"""The mechanisms: one file per paper, each of which needs torch and nothing else."""

from attnlib.mechanisms.se import SqueezeExcitation

__all__ = ["SqueezeExcitation"]
