"""attnlib: the attention modules that people plug into vision networks, correct to their papers."""

from attnlib.choosing import Suggestion, suggest
from attnlib.convert import convert_state_dict
from attnlib.mechanisms import *  # noqa: F403
from attnlib.mechanisms import __all__ as _mechanisms
from attnlib.networks.insert import insert, inserted, new_parameters, remove
from attnlib.registry import Info, Paper, available, create, info, register

__version__ = "0.1.0"
__all__ = [
    "Info",
    "Paper",
    "Suggestion",
    "available",
    "convert_state_dict",
    "create",
    "info",
    "insert",
    "inserted",
    "new_parameters",
    "register",
    "remove",
    "suggest",
    *_mechanisms,
]
