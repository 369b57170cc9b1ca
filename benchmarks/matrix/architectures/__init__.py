"""At least forty small architectures, written by hand, each with only what its paper introduced."""

from collections.abc import Callable

from torch import nn

from benchmarks.matrix.architectures import attention, mobile, plain, segmentation
from benchmarks.matrix.architectures import shortcuts as residual

SEGMENTERS: dict[str, Callable[[], nn.Module]] = {
    "fcn": segmentation.fcn,
    "unet": segmentation.UNet,
    "segnet": segmentation.SegNet,
    "deeplab": segmentation.DeepLab,
}
ARCHITECTURES: dict[str, Callable[[], nn.Module]] = {
    "lenet": plain.lenet,
    "alexnet": plain.alexnet,
    "vgg": plain.vgg,
    "plain": plain.plain,
    "nin": plain.nin,
    "squeezenet": plain.squeezenet,
    "inception": residual.inception,
    "densenet": plain.densenet,
    "highway": plain.highway,
    "coordconv": plain.coord_conv,
    "spp": plain.spp,
    "prelu": plain.prelu,
    "activations": plain.activations,
    "resnet-basic": residual.resnet_basic,
    "resnet-bottleneck": residual.resnet_bottleneck,
    "resnet-preact": residual.resnet_preact,
    "resnet-se": residual.resnet_se,
    "resnext": residual.resnext,
    "wide-resnet": residual.wide_resnet,
    "regnet-x": residual.regnet_x,
    "regnet-y": residual.regnet_y,
    "repvgg-train": residual.repvgg_train,
    "repvgg-deploy": residual.repvgg_deploy,
    "res2net": residual.res2net,
    "dla": residual.dla,
    "hrnet": residual.HrNet,
    "darknet": residual.darknet,
    "cspnet": residual.cspnet,
    "vovnet": residual.vovnet,
    "maxblurpool": residual.max_blur_pool,
    "mobilenet-v1": mobile.mobilenet_v1,
    "mobilenet-v2": mobile.mobilenet_v2,
    "mobilenet-v3": mobile.mobilenet_v3,
    "efficientnet": mobile.efficientnet,
    "efficientnet-lite": mobile.efficientnet_lite,
    "mnasnet": mobile.mnasnet,
    "shufflenet-v1": mobile.shufflenet_v1,
    "shufflenet-v2": mobile.shufflenet_v2,
    "ghostnet": mobile.ghostnet,
    "xception": mobile.xception,
    "eca": attention.eca,
    "cbam": attention.cbam,
    "convnext": attention.convnext,
    "mlp-mixer": attention.MlpMixer,
    **SEGMENTERS,
}
