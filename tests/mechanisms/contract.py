"""The contract that every mechanism is held to: one test method, one property.

A mechanism's test module subclasses ``MechanismContract``, names its registry key and writes its
formula down in a few naive lines; the properties below then hold for it or are declared impossible
with a reason. The page "mechanism × property" of the book is made from the outcomes.
"""

from __future__ import annotations

import copy
import functools
import io
import pickle
from contextlib import suppress
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

import attnlib


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Give every parameter and floating buffer a random value, so that no branch hides.

    Initialisations such as γ = 0 or a gate at σ(1) would let a wrong formula pass.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            # Scale by fan-in, so that gates do not saturate: a saturated sigmoid hides errors.
            fan_in = parameter[0].numel() if parameter.dim() > 1 else 1
            noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            parameter.copy_(0.5 * noise / fan_in**0.5 if parameter.dim() > 1 else 0.5 + 0.5 * noise)
        for name, buffer in module.named_buffers():
            if not buffer.is_floating_point():
                continue
            noise = torch.rand(buffer.shape, generator=generator, dtype=torch.float64)
            if "running_var" in name:
                buffer.copy_(0.5 + noise)
            elif "running_mean" in name:
                buffer.copy_(noise - 0.5)
    return module


#: Modules and their exports, by test class and options.
_exported: dict[str, tuple[nn.Module, torch.export.ExportedProgram]] = {}


@functools.cache
def _parse_onnx_functions_once() -> None:
    """Every ONNX export reads the sources of onnxscript's 500 functions: half of its time.

    Later versions may read them otherwise; then nothing is saved.
    """
    with suppress(ImportError, AttributeError):
        from onnxscript._internal.values import TracedOnnxFunction

        parse = TracedOnnxFunction.function_ir.fget
        TracedOnnxFunction.function_ir = property(functools.cache(parse))


class MechanismContract:
    """Subclass as ``class TestX(MechanismContract)``; see ``tests/mechanisms/test_se.py``."""

    key: ClassVar[str]
    #: Channels of the test inputs; every variant must accept them.
    channels: ClassVar[int] = 32
    #: Options of the mechanism; every property is tested for each of them.
    variants: ClassVar[list[dict[str, Any]]] = [{}]
    #: Property name → why it cannot hold for this mechanism. Shown in the book.
    impossible: ClassVar[dict[str, str]] = {}
    #: Names of parameters whose gradient is zero whatever the input, and why.
    no_gradient: ClassVar[dict[str, str]] = {}
    #: Smallest H, W that is defined (SGE needs two positions).
    smallest: ClassVar[tuple[int, int]] = (1, 1)
    #: Largest absolute difference to float32, per low-precision dtype, for inputs of unit scale.
    tolerance: ClassVar[dict[torch.dtype, float]] = {torch.float16: 2e-2, torch.bfloat16: 1e-1}

    # --- what a mechanism must supply -----------------------------------------------------------

    def reference(self, module: nn.Module, x: Tensor) -> Tensor:
        """The output of an eval-mode ``module``, written naively from the formula."""
        raise NotImplementedError

    def apply(self, module: nn.Module, x: Tensor, attention: Any) -> Tensor:
        """The output, computed from x and ``module.attention(x)``; default: a gate."""
        return x * attention

    def parameter_count(self, channels: int, options: dict[str, Any]) -> int:
        """The closed formula."""
        raise NotImplementedError

    def valid_options(self) -> st.SearchStrategy[tuple[int, dict[str, Any]]]:
        """Random valid (channels, options)."""
        raise NotImplementedError

    # --- helpers --------------------------------------------------------------------------------

    def build(self, options: dict[str, Any] | None = None, **kwargs: Any) -> nn.Module:
        return attnlib.create(self.key, self.channels, **(options or {}), **kwargs)

    def built(self, options: dict[str, Any] | None = None, **kwargs: Any) -> nn.Module:
        """A randomised module in eval mode."""
        return randomise(self.build(options, **kwargs)).eval()

    def input(self, *size: int, dtype: torch.dtype = torch.float32, batch: int = 2) -> Tensor:
        return torch.randn(batch, self.channels, *(size or (5, 7)), dtype=dtype)

    @pytest.fixture(autouse=True)
    def _declared_impossible(self, request: pytest.FixtureRequest) -> None:
        name = request.function.__name__.removeprefix("test_")
        if name in self.impossible:
            pytest.skip(f"impossible: {self.impossible[name]}")

    # --- values ---------------------------------------------------------------------------------

    def test_value(self, options):
        module = self.built(options, dtype=torch.float64)
        for size in [(5, 7), (8, 8), (3, 1)]:
            x = self.input(*size, dtype=torch.float64)
            y = module(x)
            with torch.no_grad():  # the naive loops would build long graphs
                expected = self.reference(module, x)
            torch.testing.assert_close(y, expected, rtol=1e-10, atol=1e-10)

    def test_attention(self, options):
        module = self.built(options, dtype=torch.float64)
        x = self.input(dtype=torch.float64)
        output = self.apply(module, x, module.attention(x))
        torch.testing.assert_close(output, module(x), rtol=1e-10, atol=1e-10)

    def test_parameters(self, options):
        count = sum(p.numel() for p in self.build(options).parameters())
        assert count == self.parameter_count(self.channels, options)

    # --- gradients ------------------------------------------------------------------------------

    def test_gradcheck(self, options):
        module = self.built(options, dtype=torch.float64)
        x = self.input(3, 4, dtype=torch.float64, batch=1).requires_grad_()
        names = [name for name, _ in module.named_parameters()]
        values = [p.detach().clone().requires_grad_() for p in module.parameters()]

        def function(x: Tensor, *values: Tensor) -> Tensor:
            return torch.func.functional_call(module, dict(zip(names, values, strict=True)), (x,))

        assert torch.autograd.gradcheck(function, (x, *values), fast_mode=True)

    def test_every_parameter_learns(self, options):
        module = randomise(self.build(options, dtype=torch.float64)).train()
        x = self.input(dtype=torch.float64)
        (module(x) * torch.randn_like(x)).sum().backward()
        for name, parameter in module.named_parameters():
            zero = parameter.grad is None or parameter.grad.abs().max() < 1e-10
            assert zero == (name in self.no_gradient), name

    # --- inputs of every kind -------------------------------------------------------------------

    def test_any_size(self, options):
        module = self.built(options)
        for size in [(1, 1), (1, 9), (9, 1), (4, 6), (13, 8)]:
            if size >= self.smallest and size[0] * size[1] >= self.smallest[0] * self.smallest[1]:
                x = self.input(*size)
                y = module(x)
                assert y.shape == x.shape
                assert y.dtype == x.dtype
                assert y.isfinite().all()

    def test_batch_1_in_train_mode(self, options):
        module = randomise(self.build(options)).train()
        for size in [self.smallest, (5, 7)]:
            x = self.input(*size, batch=1)
            assert module(x).isfinite().all()

    def test_channels_last(self, options):
        module = self.built(options)
        x = self.input()
        y = module(x.contiguous(memory_format=torch.channels_last))
        assert y.is_contiguous(memory_format=torch.channels_last)
        torch.testing.assert_close(y, module(x), rtol=1e-4, atol=1e-5)
        assert module(x).is_contiguous()

    def test_non_contiguous(self, options):
        module = self.built(options)
        x = self.input().transpose(2, 3)
        torch.testing.assert_close(module(x), module(x.contiguous()), rtol=1e-4, atol=1e-5)

    def test_input_is_not_modified(self, options):
        module = randomise(self.build(options)).train()
        x = self.input()
        before = x.clone()
        module(x)
        assert torch.equal(x, before)

    # --- number formats -------------------------------------------------------------------------

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
    def test_low_precision(self, options, dtype):
        module = self.built(options)
        x = self.input()
        low = copy.deepcopy(module).to(dtype)(x.to(dtype))
        assert low.dtype == dtype
        assert (low.float() - module(x)).abs().max() < self.tolerance[dtype]

    def test_autocast(self, options):
        module = self.built(options)
        x = self.input()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = module(x)
        assert (low.float() - module(x)).abs().max() < self.tolerance[torch.bfloat16]

    # --- compilers and exporters ----------------------------------------------------------------

    def test_compile(self, options):
        torch.compiler.reset()
        module = self.built(options)
        x = self.input()
        compiled = torch.compile(module, fullgraph=True, backend="aot_eager")
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-4, atol=1e-5)

    @pytest.mark.inductor
    def test_inductor(self):
        """Once per mechanism (see conftest.py), for it calls the C++ compiler: seconds each."""
        torch.compiler.reset()
        module = self.built(self.variants[0])
        x = self.input()
        compiled = torch.compile(module, fullgraph=True)
        torch.testing.assert_close(compiled(x), module(x), rtol=1e-4, atol=1e-5)

    def export(self, options: dict[str, Any]) -> tuple[nn.Module, torch.export.ExportedProgram]:
        """The module and its export, made once for all tests of a variant."""
        variant = f"{type(self).__name__} {options}"
        if variant not in _exported:
            module = self.built(options)
            B, H, W = (torch.export.Dim(n, min=2, max=512) for n in "BHW")
            shapes = ({0: B, 2: H, 3: W},)
            x = self.input(6, 9, batch=3)
            _exported[variant] = module, torch.export.export(module, (x,), dynamic_shapes=shapes)
        return _exported[variant]

    def test_export(self, options):
        module, program = self.export(options)
        exported = program.module()
        for size, batch in [((6, 9), 3), ((8, 5), 2)]:
            x = self.input(*size, batch=batch)
            torch.testing.assert_close(exported(x), module(x), rtol=1e-4, atol=1e-5)

    def test_onnx(self, options):
        onnxruntime = pytest.importorskip("onnxruntime")
        module, exported = self.export(options)
        _parse_onnx_functions_once()
        program = torch.onnx.export(exported, dynamo=True, verbose=False)
        buffer = io.BytesIO()
        program.save(buffer)
        session = onnxruntime.InferenceSession(
            buffer.getvalue(), providers=["CPUExecutionProvider"]
        )
        x = self.input(8, 5)  # not the size that was exported
        (y,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(y), module(x), rtol=1e-3, atol=1e-4)

    # --- a module like any other ----------------------------------------------------------------

    def test_copies(self, options):
        module = self.built(options)
        x = self.input()
        fresh = self.build(options).eval()
        fresh.load_state_dict(module.state_dict())
        for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module)), fresh):
            assert torch.equal(twin(x), module(x))
            assert repr(twin) == repr(module)

    def test_device_and_dtype(self, options):
        module = self.build(options, device="meta", dtype=torch.float64)
        for tensor in module.parameters():
            assert tensor.is_meta
            assert tensor.dtype == torch.float64
        x = self.input(dtype=torch.float64).to("meta")
        assert module.eval()(x).shape == x.shape

    def test_deterministic(self, options):
        torch.use_deterministic_algorithms(True)
        try:
            module = randomise(self.build(options)).train()
            x = self.input().requires_grad_()
            a, b = copy.deepcopy(module)(x), copy.deepcopy(module)(x)
            assert torch.equal(a, b)
            a.sum().backward()
        finally:
            torch.use_deterministic_algorithms(False)

    def test_cuda(self, options):
        if not torch.cuda.is_available():
            pytest.skip("no CUDA device on this machine")
        module = self.built(options)
        x = self.input()
        y = copy.deepcopy(module).cuda()(x.cuda())
        torch.testing.assert_close(y.cpu(), module(x), rtol=1e-3, atol=1e-4)

    # --- errors ---------------------------------------------------------------------------------

    def test_wrong_input(self, options):
        module = self.build(options)
        expected = rf"expected an input of shape \(B, {self.channels}, H, W\), got \("
        with pytest.raises(ValueError, match=expected):
            module(torch.randn(2, self.channels, 5))
        for channels in (self.channels + 1, self.channels - 1):
            with pytest.raises(ValueError, match=expected):
                module(torch.randn(2, channels, 5, 5))
        with pytest.raises(ValueError, match=expected):
            module.attention(torch.randn(self.channels, 5, 5))

    def test_channels_only_positional(self):
        with pytest.raises(TypeError):
            attnlib.info(self.key).module(self.channels, 1)
        with pytest.raises(ValueError, match="positive"):
            attnlib.create(self.key, 0)

    # --- any valid configuration ----------------------------------------------------------------

    def test_random_configurations(self):
        @settings(
            max_examples=15,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        )
        @given(
            self.valid_options(),
            st.integers(1, 3),
            st.integers(self.smallest[0], 6),
            st.integers(self.smallest[1], 6),
        )
        def check(configuration, batch, height, width):
            channels, options = configuration
            module = randomise(attnlib.create(self.key, channels, **options, dtype=torch.float64))
            assert sum(p.numel() for p in module.parameters()) == self.parameter_count(
                channels, options
            )
            x = torch.randn(batch, channels, height, width, dtype=torch.float64)
            y = module.eval()(x)
            with torch.no_grad():
                expected = self.reference(module, x)
            torch.testing.assert_close(y, expected, rtol=1e-9, atol=1e-9)

        check()
