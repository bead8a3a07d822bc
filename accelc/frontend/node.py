"""One ONNX node as the lowering functions see it, and the refusal they raise for what no layer expresses."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import onnx
from onnx import helper

from accelc.errors import UnsupportedError

if TYPE_CHECKING:
    from accelc.frontend.builder import Builder


class RefusedError(UnsupportedError):
    """A node that no layer expresses: what is wrong with it, and what would work."""

    def __init__(self, node: Node, what: str, works: str) -> None:
        super().__init__(f"node '{node.name}' ({node.op}): {what} is not supported; {works}")
        self._parts = (node, what, works)

    def extended(self, more: str) -> RefusedError:
        """Return the refusal with one more reason behind it."""
        node, what, works = self._parts
        return RefusedError(node, what, f"{works}; {more}")


@dataclass(frozen=True, eq=False)
class Node:
    """An ONNX node: operator, operand names ("" where left out), attributes as Python values, opset version."""

    op: str
    domain: str
    version: int
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attrs: Mapping[str, Any]
    proto: onnx.NodeProto = field(repr=False)

    @staticmethod
    def of(proto: onnx.NodeProto, version: int) -> Node:
        """Return the view of a node under an opset version of its domain."""
        attrs = {a.name: _value(a) for a in proto.attribute}
        name = proto.name or f"{proto.op_type}_{next(iter(proto.output), '')}"
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        return Node(proto.op_type, domain, version, name, tuple(proto.input), tuple(proto.output), attrs, proto)

    @staticmethod
    def make(
        op: str, name: str, inputs: tuple[str, ...], outputs: tuple[str, ...], version: int, **attrs: Any
    ) -> Node:
        """Return a new node of the standard domain."""
        return Node.of(helper.make_node(op, list(inputs), list(outputs), name=name, **attrs), version)

    def input(self, index: int) -> str:
        """Return the name of an operand, "" when it is left out."""
        return self.inputs[index] if index < len(self.inputs) else ""

    def output(self, index: int) -> str:
        """Return the name of a result, "" when it is left out."""
        return self.outputs[index] if index < len(self.outputs) else ""

    def get(self, key: str, default: Any = None) -> Any:
        """Return an attribute's value or a default."""
        return self.attrs.get(key, default)

    def refuse(self, what: str, works: str) -> RefusedError:
        """Return the error that says what is unsupported and what would work."""
        return RefusedError(self, what, works)


def _value(attribute: onnx.AttributeProto) -> Any:
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class Lowering:
    """How one ONNX operator becomes layers; the page of supported operators is generated from these."""

    op: str
    lower: Callable[[Builder, Node], None]
    layers: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    domain: str = ""
    integer: bool = False  # also takes int8 / uint8 activations as they are

    @property
    def summary(self) -> str:
        """Return the first line of the lowering function's docstring."""
        return (self.lower.__doc__ or "").strip().splitlines()[0]

    @property
    def unit(self) -> str:
        """Return where its layers run: `array`, `vector`, or `compiler` for what vanishes at compile time."""
        if "host" in self.layers:
            return "host"
        if {"conv", "fc"} & set(self.layers):
            return "array"
        return "vector" if self.layers else "compiler"
