"""The named activation functions, each composed of functions of the vector unit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.elementwise import narrowed
from accelc.frontend.real.steps import Steps

Emit = Callable[[Steps, Node, str], str]


def _above(s: Steps, x: str, limit: float, yes: str, no: str) -> str:
    return s.map("where", s.map("greater", x, limit), yes, no)


def _elu(s: Steps, x: str, alpha: float, gamma: float = 1.0, width: float = 1.0) -> str:
    """gamma * x above 0, gamma * alpha * (exp(x / width) - 1) below."""
    # Held to 0 there, so that what is not chosen does not overflow.
    low = s.map("min", x, 0.0)
    bent = s.map("mul", s.map("sub", s.map("exp", s.map("div", low, width)), 1.0), float(np.float32(alpha)))
    both = _above(s, x, 0.0, x, bent)
    return both if gamma == 1.0 else s.map("mul", both, gamma)


def _gelu(s: Steps, node: Node, x: str) -> str:
    half = s.map("mul", x, 0.5)
    if node.get("approximate", "none") == "tanh":
        cubic = s.map("mul", s.map("mul", s.map("mul", x, x), x), 0.044715)
        bent = s.map("tanh", s.map("mul", s.map("add", x, cubic), float(np.sqrt(2 / np.pi))))
    else:
        bent = s.map("erf", s.map("mul", x, float(np.sqrt(0.5))))
    return s.map("mul", half, s.map("add", bent, 1.0))


def _shrink(s: Steps, node: Node, x: str) -> str:
    lambd, bias = float(node.get("lambd", 0.5)), float(node.get("bias", 0.0))
    zero = s.map("mul", x, 0.0)
    high = _above(s, x, lambd, s.map("sub", x, bias), zero)
    return s.map("where", s.map("less", x, -lambd), s.map("add", x, bias), high)


def _hard(s: Steps, x: str, alpha: float, beta: float) -> str:
    line = s.map("add", s.map("mul", x, float(np.float32(alpha))), beta)
    return s.map("max", s.map("min", line, 1.0), 0.0)


def _softsign(s: Steps, _: Node, x: str) -> str:
    return s.map("div", x, s.map("add", s.map("abs", x), 1.0))


def _mish(s: Steps, _: Node, x: str) -> str:
    return s.map("mul", x, s.map("tanh", s.map("softplus", x)))


def _swish(s: Steps, node: Node, x: str) -> str:
    return s.map("mul", x, s.map("sigmoid", s.map("mul", x, float(node.get("alpha", 1.0)))))


_FORMS: Mapping[str, tuple[Emit, tuple[str, ...]]] = MappingProxyType(
    {
        "Relu": (lambda s, _, x: s.map("max", x, 0), ()),
        "LeakyRelu": (
            lambda s, n, x: s.map("where", s.map("less", x, 0.0), s.map("mul", x, float(n.get("alpha", 0.01))), x),
            ("alpha",),
        ),
        "ThresholdedRelu": (
            lambda s, n, x: _above(s, x, float(n.get("alpha", 1.0)), x, s.map("mul", x, 0.0)), ("alpha",)
        ),
        "Elu": (lambda s, n, x: _elu(s, x, float(n.get("alpha", 1.0))), ("alpha",)),
        "Celu": (
            lambda s, n, x: _elu(s, x, float(n.get("alpha", 1.0)), 1.0, float(n.get("alpha", 1.0))), ("alpha",)
        ),
        "Selu": (
            lambda s, n, x: _elu(
                s, x, float(n.get("alpha", 1.67326319217681884765625)), float(n.get("gamma", 1.05070102214813232421875))
            ),
            ("alpha", "gamma"),
        ),
        "Gelu": (_gelu, ("approximate",)),
        "Shrink": (_shrink, ("bias", "lambd")),
        "HardSigmoid": (
            lambda s, n, x: _hard(s, x, float(n.get("alpha", 0.2)), float(n.get("beta", 0.5))), ("alpha", "beta")
        ),
        "HardSwish": (lambda s, _, x: s.map("mul", x, _hard(s, x, 1 / 6, 0.5)), ()),
        "Softsign": (_softsign, ()),
        "Mish": (_mish, ()),
        "Swish": (_swish, ("alpha",)),
    }
)  # fmt: skip


def activation(b: Builder, node: Node) -> None:
    """The function by its definition, in float32."""
    s = Steps(b, node)
    s.finish(_FORMS[node.op][0](s, node, node.input(0)))


def prelu(b: Builder, node: Node) -> None:
    """x where x >= 0, else slope * x; the slope broadcasts to x and may be computed at run time."""
    s = Steps(b, node)
    x, slope = node.input(0), node.input(1)
    s.finish(narrowed(s, s.map("where", s.map("less", x, 0), s.map("mul", x, slope), x)))


def clip(b: Builder, node: Node) -> None:
    """The value held between two bounds, known or computed at run time; the upper one wins where they cross."""
    s = Steps(b, node)
    x = node.input(0)
    for key, index, fn in (("min", 1, "max"), ("max", 2, "min")):
        if node.input(index):
            x = s.map(fn, x, node.input(index))
        elif key in node.attrs:
            x = s.map(fn, x, float(node.get(key)))
    s.finish(x)


LOWERINGS = (
    *(Lowering(op, activation, ("map",), attributes) for op, (_, attributes) in _FORMS.items()),
    Lowering("PRelu", prelu, ("map",)),
    Lowering("Clip", clip, ("map",), ("min", "max")),
)
