"""Reports: the figures of a run as values, as a terminal table and as JSON."""

from accelc.report.result import Accuracy, ActivityFigures, Check, CoreResult, HostOp, LayerResult, Ledger, Result
from accelc.report.terminal import print_report, render

__all__ = [
    "Accuracy",
    "ActivityFigures",
    "Check",
    "CoreResult",
    "HostOp",
    "LayerResult",
    "Ledger",
    "Result",
    "print_report",
    "render",
]
