"""Networks that find, count and describe objects."""

from __future__ import annotations

from accelc.models.entry import row

_YOLO = 'Redmon, Divvala, Girshick, Farhadi, "You only look once: Unified, real-time object detection", CVPR 2016'
_YOLO_V2 = 'Redmon, Farhadi, "YOLO9000: Better, faster, stronger", CVPR 2017'
_YOLO_V3 = 'Redmon, Farhadi, "YOLOv3: An incremental improvement", arXiv 2018'
_SSD = 'Liu et al., "SSD: Single shot multibox detector", ECCV 2016'
_CS231N = 'Li, Karpathy, Johnson, "CS231n: Convolutional neural networks for visual recognition", Stanford 2016'
_POSE = 'Toshev, Szegedy, "DeepPose: Human pose estimation via deep neural networks", CVPR 2014'
_OVERFEAT = (
    'Sermanet et al., "OverFeat: Integrated recognition, localization and detection using convolutional networks", '
    'ICLR 2014'
)
_RCNN = (
    'Girshick, Donahue, Darrell, Malik, "Rich feature hierarchies for accurate object detection and semantic '
    'segmentation", CVPR 2014'
)
_FAST = 'Girshick, "Fast R-CNN", ICCV 2015'
_FASTER = (
    'Ren, He, Girshick, Sun, "Faster R-CNN: Towards real-time object detection with region proposal networks", '
    'NIPS 2015'
)
_MASK = 'He, Gkioxari, Dollar, Girshick, "Mask R-CNN", ICCV 2017'
_DENSECAP = (
    'Johnson, Karpathy, Fei-Fei, "DenseCap: Fully convolutional localization networks for dense captioning", CVPR 2016'
)
_SDS = 'Hariharan, Arbelaez, Girshick, Malik, "Simultaneous detection and segmentation", ECCV 2014'
_HYPER = (
    'Hariharan, Arbelaez, Girshick, Malik, "Hypercolumns for object segmentation and fine-grained localization", '
    'CVPR 2015'
)
_MNC = 'Dai, He, Sun, "Instance-aware semantic segmentation via multi-task network cascades", CVPR 2016'

ROWS = (
    row("localizer", "localization", _CS231N, "localize:localizer"),
    row("pose", "localization", _POSE, "localize:pose"),
    row("overfeat_sliding", "localization", _OVERFEAT, "localize:overfeat_sliding"),
    row("rcnn", "rcnn", _RCNN, "rcnn:rcnn"),
    row("fast_rcnn", "rcnn", _FAST, "rcnn:fast_rcnn"),
    row("faster_rcnn", "rcnn", _FASTER, "rcnn:faster_rcnn"),
    row("faster_rcnn_zf", "rcnn", _FASTER, "rcnn:faster_rcnn", zf=True),
    row("mask_rcnn", "rcnn", _MASK, "mask_rcnn:mask_rcnn"),
    row("mask_rcnn_pose", "rcnn", _MASK, "mask_rcnn:mask_rcnn", keypoints=True),
    row("yolo_v1", "yolo", _YOLO, "yolo:yolo_v1"),
    row("fast_yolo_v1", "yolo", _YOLO, "yolo:yolo_v1", fast=True),
    row("yolo_v2", "yolo", _YOLO_V2, "yolo:yolo_v2"),
    row("yolo_v3", "yolo", _YOLO_V3, "yolo:yolo_v3"),
    row("ssd300", "ssd", _SSD, "ssd:ssd300"),
    row("dense_captioning", "rcnn", _DENSECAP, "rcnn:dense_captioning"),
    row("sds", "rcnn", _SDS, "rcnn:sds"),
    row("hypercolumns", "localization", _HYPER, "localize:hypercolumns"),
    row("mnc", "rcnn", _MNC, "rcnn:mnc"),
)
