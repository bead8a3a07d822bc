"""What the table of networks holds for each. It reads without ONNX; a builder loads when it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from accelc.models.builder import Net


@dataclass(frozen=True)
class Entry:
    """A network of the zoo: its builder is `function` of `accelc.models.module`, called with `options`."""

    name: str
    family: str
    source: str
    module: str
    function: str
    options: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    def build(self, net: Net, **options: Any) -> None:
        """Add the network's layers to an empty `Net`; options given here go before the entry's own."""
        function: Callable[..., None] = getattr(importlib.import_module(f"accelc.models.{self.module}"), self.function)
        function(net, **{**self.options, **options})


def row(name: str, family: str, source: str, builder: str, /, **options: Any) -> Entry:
    """Return an entry whose builder is written `module:function`."""
    module, function = builder.split(":")
    return Entry(name, family, source, module, function, MappingProxyType(options))
