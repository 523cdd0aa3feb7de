"""The mechanisms: one file per paper, each of which needs torch and nothing else."""

from attnlib.mechanisms.eca import EfficientChannelAttention
from attnlib.mechanisms.se import SqueezeExcitation
from attnlib.mechanisms.sge import SpatialGroupEnhance

__all__ = [
    "EfficientChannelAttention",
    "SpatialGroupEnhance",
    "SqueezeExcitation",
]
