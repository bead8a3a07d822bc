"""Networks that find, count and describe objects."""

from __future__ import annotations

from accelc.models.entry import row

_YOLO = 'Redmon, Divvala, Girshick, Farhadi, "You only look once: Unified, real-time object detection", CVPR 2016'
_YOLO_V2 = 'Redmon, Farhadi, "YOLO9000: Better, faster, stronger", CVPR 2017'
_YOLO_V3 = 'Redmon, Farhadi, "YOLOv3: An incremental improvement", arXiv 2018'
_SSD = 'Liu et al., "SSD: Single shot multibox detector", ECCV 2016'

ROWS = (
    row("yolo_v1", "yolo", _YOLO, "yolo:yolo_v1"),
    row("fast_yolo_v1", "yolo", _YOLO, "yolo:yolo_v1", fast=True),
    row("yolo_v2", "yolo", _YOLO_V2, "yolo:yolo_v2"),
    row("yolo_v3", "yolo", _YOLO_V3, "yolo:yolo_v3"),
    row("ssd300", "ssd", _SSD, "ssd:ssd300"),
)
