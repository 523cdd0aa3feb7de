"""What PyTorch does to a module beyond calling it, for every mechanism alike.

A hand-written backward is in the way of everything that looks into the operations: then the plain
ones have to run.
"""

import io

import pytest
import torch
from mechanisms.contract import randomise

import attnlib

pytestmark = pytest.mark.parametrize("key", attnlib.available())
CHANNELS = 128


def built(key, **options):
    return randomise(attnlib.create(key, CHANNELS, **options)).eval()


def test_traced_module_is_saved_and_loaded(key):
    """With gradients on, as people trace by mistake; at another size than the traced one."""
    module = built(key)
    traced = torch.jit.trace(module, torch.randn(2, CHANNELS, 6, 5), check_trace=False)
    file = io.BytesIO()
    torch.jit.save(traced, file)
    file.seek(0)
    loaded = torch.jit.load(file)
    x = torch.randn(3, CHANNELS, 4, 7)
    torch.testing.assert_close(loaded(x), module(x), rtol=1e-4, atol=1e-5)


def test_forward_mode(key):
    """The directional derivative is that of backward mode, by dual numbers and by torch.func."""
    module = built(key, dtype=torch.float64)
    x, v, w = torch.randn(3, 2, CHANNELS, 4, 5, dtype=torch.float64)
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(module(x), x, w)
    expected = (gradient * v).sum()
    with torch.autograd.forward_ad.dual_level():
        dual = module(torch.autograd.forward_ad.make_dual(x, v))
        tangent = torch.autograd.forward_ad.unpack_dual(dual).tangent
    torch.testing.assert_close((tangent * w).sum(), expected)
    _, tangent = torch.func.jvp(module, (x,), (v,))
    torch.testing.assert_close((tangent * w).sum(), expected)
