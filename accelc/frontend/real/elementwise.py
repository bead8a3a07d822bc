"""Arithmetic, comparison and logic, element by element."""

from __future__ import annotations

from accelc.frontend.builder import Builder
from accelc.frontend.node import Lowering, Node
from accelc.frontend.real.steps import Steps, Value

_UNARY = {
    "Abs": "abs", "Acos": "acos", "Acosh": "acosh", "Asin": "asin", "Asinh": "asinh", "Atan": "atan", "Atanh": "atanh",
    "Ceil": "ceil", "Cos": "cos", "Cosh": "cosh", "Erf": "erf", "Exp": "exp", "Floor": "floor", "Log": "log",
    "Neg": "neg", "Reciprocal": "reciprocal", "Round": "round", "Sigmoid": "sigmoid", "Sign": "sign", "Sin": "sin",
    "Sinh": "sinh", "Softplus": "softplus", "Sqrt": "sqrt", "Tan": "tan", "Tanh": "tanh",
}  # fmt: skip
_BINARY = {"Add": "add", "Sub": "sub", "Mul": "mul", "Div": "div"}
_COMPARE = {
    "Equal": "equal", "Less": "less", "LessOrEqual": "less_equal", "Greater": "greater",
    "GreaterOrEqual": "greater_equal",
}  # fmt: skip
_LOGIC = {"And": "and", "Or": "or", "Xor": "xor", "BitwiseAnd": "and", "BitwiseOr": "or", "BitwiseXor": "xor"}
_WIDTHS = {"int8": (8, True), "uint8": (8, False), "int16": (16, True), "uint16": (16, False), "bool": (1, False)}


def unary(b: Builder, node: Node) -> None:
    """The function itself, element by element, in float32."""
    s = Steps(b, node)
    s.finish(narrowed(s, s.map(_UNARY[node.op], node.input(0))))


def binary(b: Builder, node: Node) -> None:
    """a op b with broadcasting; integers wrap at their own width, at most 32 bits."""
    s = Steps(b, node)
    s.finish(narrowed(s, s.map(_BINARY[node.op], *_aligned(s, node))))


def _aligned(s: Steps, node: Node) -> tuple[str, str]:
    """Return both operands; opsets before 7 align the second at `axis` if told to."""
    a, other = node.input(0), node.input(1)
    if node.version < 7 and node.get("broadcast", 0):
        axis = node.get("axis", len(s.shape(a)) - len(s.shape(other)))
        other = s.reshape(other, s.shape(other) + (1,) * (len(s.shape(a)) - axis - len(s.shape(other))))
    return a, other


def narrowed(s: Steps, x: str) -> str:
    """Return an integer tensor wrapped to the width of its type."""
    bits, signed = _WIDTHS.get(s.dtype(x), (32, True))
    if bits in (1, 32):
        return x
    if not signed:
        return s.map("and", x, (1 << bits) - 1)
    half = 1 << (bits - 1)
    return s.map("sub", s.map("and", s.map("add", x, half), (1 << bits) - 1), half)


def compare(b: Builder, node: Node) -> None:
    """1 where the comparison holds, else 0."""
    s = Steps(b, node)
    s.finish(s.map(_COMPARE[node.op], *_aligned(s, node), dtype="bool"))


def logic(b: Builder, node: Node) -> None:
    """Bit by bit; truth values are 0 and 1."""
    s = Steps(b, node)
    a, other = _aligned(s, node)
    s.finish(s.map(_LOGIC[node.op], a, other, dtype=s.dtype(a)))


def not_(b: Builder, node: Node) -> None:
    """1 where x is 0, else 0."""
    s = Steps(b, node)
    s.finish(s.map("not", node.input(0), dtype="bool"))


def invert(b: Builder, node: Node) -> None:
    """Every bit turned."""
    s = Steps(b, node)
    s.finish(narrowed(s, s.map("invert", node.input(0), dtype=s.dtype(node.input(0)))))


def shift(b: Builder, node: Node) -> None:
    """Bits moved to the left or the right, zeros coming in."""
    s = Steps(b, node)
    fn = "shift_left" if node.get("direction") == "LEFT" else "shift_right"
    s.finish(narrowed(s, s.map(fn, node.input(0), node.input(1), dtype=s.dtype(node.input(0)))))


def power(b: Builder, node: Node) -> None:
    """x to the power of y, in the type of x; y is brought to it."""
    s = Steps(b, node)
    x, y = _aligned(s, node)
    if s.is_float(x) and not s.is_float(y):
        y = s.map("to_float", y)
    if not s.is_float(x) and s.is_float(y):
        wide = s.map("pow", s.map("to_float", x), y)
        s.finish(s.map("to_int", wide, dtype=s.dtype(x)))
        return
    s.finish(s.map("pow", x, y, dtype=s.dtype(x)))


def modulo(b: Builder, node: Node) -> None:
    """Remainder with the sign of the divisor, or with fmod=1 that of the dividend."""
    s = Steps(b, node)
    s.finish(s.map("fmod" if node.get("fmod", 0) else "mod", node.input(0), node.input(1)))


def extreme(b: Builder, node: Node) -> None:
    """Maximum, minimum, sum or mean of any number of tensors, from left to right."""
    s = Steps(b, node)
    fn = {"Max": "max", "Min": "min", "Sum": "add", "Mean": "add"}[node.op]
    total = node.input(0)
    for name in node.inputs[1:]:
        total = s.map(fn, total, name)
    s.finish(s.map("div", total, len(node.inputs)) if node.op == "Mean" else total)


def where(b: Builder, node: Node) -> None:
    """The second operand where the first is not 0, else the third."""
    s = Steps(b, node)
    s.finish(s.map("where", node.input(0), node.input(1), node.input(2)))


def is_inf(b: Builder, node: Node) -> None:
    """1 where x is infinite, of the signs asked for."""
    s = Steps(b, node)
    x = node.input(0)
    positive, negative = node.get("detect_positive", 1), node.get("detect_negative", 1)
    found = s.map("is_inf", x, dtype="bool")
    if positive and negative:
        s.finish(found)
        return
    side = s.map("greater" if positive else "less", x, 0.0, dtype="bool")
    s.finish(s.map("and", found, side, dtype="bool") if positive or negative else s.map("and", found, 0, dtype="bool"))


def is_nan(b: Builder, node: Node) -> None:
    """1 where x is not a number."""
    s = Steps(b, node)
    s.finish(s.map("is_nan", node.input(0), dtype="bool"))


def cast(b: Builder, node: Node) -> None:
    """Another element type: toward zero to integers, wrapped to their width; 64-bit types have 32 bits here."""
    s = Steps(b, node)
    target = b.result(node).dtype
    s.finish(cast_to(s, node, node.input(0), target))


_TARGETS = ("float32", "float64", "float16", "int32", "int64", "uint32", "uint64", *_WIDTHS)


def cast_to(s: Steps, node: Node, x: str, target: str) -> str:
    """Return x as another ONNX type."""
    if target not in _TARGETS:
        raise node.refuse(f"a cast to {target}", f"{', '.join(_TARGETS)} would work")
    if target == "float16":
        real = x if s.is_float(x) else s.map("to_float", x)
        return s.map("to_float16", real, dtype=target)
    if target in ("float32", "float64"):
        return s.map("identity", x, dtype=target) if s.is_float(x) else s.map("to_float", x, dtype=target)
    if target == "bool":
        zero: Value = s.constant(0, x)
        return s.map("not", s.map("equal", x, zero, dtype="bool"), dtype="bool")
    whole = s.map("to_int", x, dtype=target) if s.is_float(x) else s.map("identity", x, dtype=target)
    return narrowed(s, whole)


LOWERINGS = (
    *(Lowering(op, unary, ("map",)) for op in _UNARY),
    *(Lowering(op, binary, ("map",)) for op in _BINARY),
    *(Lowering(op, compare, ("map",)) for op in _COMPARE),
    *(Lowering(op, logic, ("map",)) for op in _LOGIC),
    *(Lowering(op, extreme, ("map",)) for op in ("Max", "Min", "Sum", "Mean")),
    Lowering("Not", not_, ("map",)),
    Lowering("BitwiseNot", invert, ("map",)),
    Lowering("BitShift", shift, ("map",), ("direction",)),
    Lowering("Pow", power, ("map",)),
    Lowering("Mod", modulo, ("map",), ("fmod",)),
    Lowering("Where", where, ("map",)),
    Lowering("IsInf", is_inf, ("map",), ("detect_negative", "detect_positive")),
    Lowering("IsNaN", is_nan, ("map",)),
    Lowering("Cast", cast, ("map",), ("to", "saturate"), ("bfloat16, float8, types below 8 bits and text",)),
    Lowering("CastLike", cast, ("map",), ("saturate",), ("bfloat16, float8, types below 8 bits and text",)),
)
