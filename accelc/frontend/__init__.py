"""Import of ONNX models: reading, checking, static shapes, constant folding and lowering to layers."""

from accelc.frontend.importer import import_onnx

__all__ = ["import_onnx"]
