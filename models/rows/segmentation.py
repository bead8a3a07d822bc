"""Networks that label every pixel."""

from __future__ import annotations

from accelc.models.entry import row

_NING = 'Ning et al., "Toward automatic phenotyping of developing embryos from videos", IEEE TIP 2005'
_FARABET = 'Farabet, Couprie, Najman, LeCun, "Learning hierarchical features for scene labeling", TPAMI 2013'
_PINHEIRO = 'Pinheiro, Collobert, "Recurrent convolutional neural networks for scene labeling", ICML 2014'
_FCN = 'Long, Shelhamer, Darrell, "Fully convolutional networks for semantic segmentation", CVPR 2015'
_DECONVNET = 'Noh, Hong, Han, "Learning deconvolution network for semantic segmentation", ICCV 2015'
_SEGNET = (
    'Badrinarayanan, Kendall, Cipolla, "SegNet: A deep convolutional encoder-decoder architecture for image '
    'segmentation", TPAMI 2017'
)
_UNET = 'Ronneberger, Fischer, Brox, "U-Net: Convolutional networks for biomedical image segmentation", MICCAI 2015'
_DEEPLAB = (
    'Chen et al., "Semantic image segmentation with deep convolutional nets and fully connected CRFs", ICLR 2015'
)
_DEEPLAB_V2 = (
    'Chen et al., "DeepLab: Semantic image segmentation with deep convolutional nets, atrous convolution, and fully '
    'connected CRFs", TPAMI 2018'
)
_CRF = (
    'Krähenbühl, Koltun, "Efficient inference in fully connected CRFs with Gaussian edge potentials", NIPS 2011'
)

ROWS = (
    row("sliding_window_seg", "scene", _NING, "scene:sliding_window_seg"),
    row("multiscale_pyramid_seg", "scene", _FARABET, "scene:multiscale_pyramid_seg"),
    row("recurrent_cnn_seg", "scene", _PINHEIRO, "scene:recurrent_cnn_seg"),
    row("fcn32s", "fcn", _FCN, "fcn:fcn", stride=32),
    row("fcn16s", "fcn", _FCN, "fcn:fcn", stride=16),
    row("fcn8s", "fcn", _FCN, "fcn:fcn", stride=8),
    row("deconvnet", "encoder_decoder", _DECONVNET, "encoder_decoder:deconvnet"),
    row("segnet", "encoder_decoder", _SEGNET, "encoder_decoder:segnet"),
    row("unet", "encoder_decoder", _UNET, "encoder_decoder:unet"),
    row("deeplab_largefov", "deeplab", _DEEPLAB, "deeplab:deeplab_largefov"),
    row("deeplab_v2_vgg16", "deeplab", _DEEPLAB_V2, "deeplab:deeplab_v2_vgg16"),
    row("deeplab_v2_resnet101", "deeplab", _DEEPLAB_V2, "deeplab:deeplab_v2_resnet101"),
    row("dense_crf", "scene", _CRF, "scene:dense_crf"),
)
