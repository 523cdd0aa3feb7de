"""Host networks with attention at the place each paper chose, and plugging it into any other."""

from attnlib.networks.insert import (
    IdentityStart,
    Insertion,
    insert,
    inserted,
    new_parameters,
    remove,
)
from attnlib.networks.mobilenet_v2 import MobileNetV2, mobilenet_v2
from attnlib.networks.recipes import PLACEMENTS, RECIPES, Recipe, recipe
from attnlib.networks.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152
from attnlib.networks.segmentation import CCNet, DANet, ccnet, danet

__all__ = [
    "PLACEMENTS",
    "RECIPES",
    "CCNet",
    "DANet",
    "IdentityStart",
    "Insertion",
    "MobileNetV2",
    "Recipe",
    "ResNet",
    "ccnet",
    "danet",
    "insert",
    "inserted",
    "mobilenet_v2",
    "new_parameters",
    "recipe",
    "remove",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]
