"""The mechanisms: one file per paper, each of which needs torch and nothing else."""

from attnlib.mechanisms.cbam import CBAM
from attnlib.mechanisms.coordinate import CoordinateAttention
from attnlib.mechanisms.eca import EfficientChannelAttention
from attnlib.mechanisms.polarized import (
    ParallelPolarizedSelfAttention,
    SequentialPolarizedSelfAttention,
)
from attnlib.mechanisms.se import SqueezeExcitation
from attnlib.mechanisms.sge import SpatialGroupEnhance

__all__ = [
    "CBAM",
    "CoordinateAttention",
    "EfficientChannelAttention",
    "ParallelPolarizedSelfAttention",
    "SequentialPolarizedSelfAttention",
    "SpatialGroupEnhance",
    "SqueezeExcitation",
]
