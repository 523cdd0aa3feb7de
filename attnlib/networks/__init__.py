"""Host networks with attention at the place each paper chose, and plugging it into any other."""

from attnlib.networks.mobilenet_v2 import MobileNetV2, mobilenet_v2
from attnlib.networks.recipes import PLACEMENTS, RECIPES, Recipe, recipe
from attnlib.networks.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152

__all__ = [
    "PLACEMENTS",
    "RECIPES",
    "MobileNetV2",
    "Recipe",
    "ResNet",
    "mobilenet_v2",
    "recipe",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]
