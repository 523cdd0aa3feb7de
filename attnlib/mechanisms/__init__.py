"""The mechanisms: one file per paper, each of which needs torch and nothing else."""

from attnlib.mechanisms.bam import BAM
from attnlib.mechanisms.cbam import CBAM
from attnlib.mechanisms.ccnet import CrissCrossAttention, RecurrentCrissCrossAttention
from attnlib.mechanisms.coordinate import CoordinateAttention
from attnlib.mechanisms.danet import ChannelAttention, DualAttention, PositionAttention
from attnlib.mechanisms.eca import EfficientChannelAttention
from attnlib.mechanisms.gam import GlobalAttention
from attnlib.mechanisms.multihead import MultiHeadAttention, SequenceMultiHeadAttention
from attnlib.mechanisms.polarized import (
    ParallelPolarizedSelfAttention,
    SequentialPolarizedSelfAttention,
)
from attnlib.mechanisms.se import SqueezeExcitation
from attnlib.mechanisms.sge import SpatialGroupEnhance
from attnlib.mechanisms.shuffle import ShuffleAttention

__all__ = [
    "BAM",
    "CBAM",
    "ChannelAttention",
    "CoordinateAttention",
    "CrissCrossAttention",
    "DualAttention",
    "EfficientChannelAttention",
    "GlobalAttention",
    "MultiHeadAttention",
    "ParallelPolarizedSelfAttention",
    "PositionAttention",
    "RecurrentCrissCrossAttention",
    "SequenceMultiHeadAttention",
    "SequentialPolarizedSelfAttention",
    "ShuffleAttention",
    "SpatialGroupEnhance",
    "SqueezeExcitation",
]
