"""Guided Grad-CAM."""

import numpy as np

from seewhy.maps import combine, rectify, spatial_mean, strongest, upsample
from seewhy.methods._passes import further, images_at
from seewhy.types import Capture, Maps, method


@method(paper="Selvaraju et al. 2017, section 'Guided Grad-CAM', arXiv:1610.02391", cost="two passes", pixels=True)
def guided_grad_cam(capture: Capture) -> Maps:
    """Grad-CAM, upsampled to the input, times guided backpropagation: fine detail where the class was seen.

        M = upsample(ReLU(sum_c alpha_c A_c)) * max_c |R_0,c|     (elementwise)

    with alpha as in Grad-CAM and R as in guided backpropagation. Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra:
    Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization, ICCV 2017, fig. 2. **What is fine
    in it is guided backpropagation, which fails the parameter randomisation check** (Adebayo et al. 2018,
    arXiv:1810.03292): trust the regions, which are Grad-CAM's, and not the edges within them.

    Takes activations (n, c, *s) and gradients (n, k, c, *s) at the layer, and one more pass for the guided gradients
    at the input; returns maps (n, k, *s) with the input's positions, at least 0. Raises LayerError where the model has
    no ReLU.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1),
    ...                           torch.nn.Flatten(), torch.nn.Linear(4, 2))
    >>> tuple(seewhy.explain(net, torch.rand(1, 3, 8, 8), 1, method="guided-grad-cam").maps.shape)
    (1, 1, 8, 8)
    """
    assert capture.gradients is not None
    regions = rectify(combine(spatial_mean(capture.gradients), capture.activations))
    images = images_at(capture)
    guided = further(capture).gradients(images, np.arange(images.shape[0]), at_input=True, guided=True)
    return upsample(regions, images.shape[2:]) * strongest(guided)
