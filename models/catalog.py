"""The table of networks: names, families, sources. It reads without ONNX."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from accelc.models.entry import Entry
from accelc.models.rows import classification, detection, generative, segmentation, sequence

_TASKS = (classification, detection, segmentation, sequence, generative)

CATALOG: Mapping[str, Entry] = MappingProxyType({row.name: row for task in _TASKS for row in task.ROWS})
"""Every network of the zoo by name."""
