"""Score-CAM."""

from seewhy.methods._score_weighted import score_weighted
from seewhy.stream import MEMORY
from seewhy.types import Capture, Maps, method


@method(paper="Wang et al. 2020, section 3, arXiv:1910.01279", gradients=False, cost="many passes")
def score_cam(capture: Capture, *, channels: int | None = None, memory: float = MEMORY) -> Maps:
    """Each channel weighed by the score of the image seen through it: no gradients.

        H_c = s(Up(A_c)),  s(M) = (M - min M) / (max M - min M)
        C_c = f(X * H_c) - f(0)
        L = ReLU(sum_c softmax(C)_c A_c)          (the ReLU follows for all methods alike)

    Wang, Wang, Du, Yang, Zhang, Ding, Mardziel, Hu: Score-CAM: Score-Weighted Visual Explanations for Convolutional
    Neural Networks, CVPR Workshops 2020. f is the score that is explained, unless told otherwise the number before a
    final softmax: the only softmax is the one over the channels. The mask is scaled once, after it is upsampled. A
    channel that is the same everywhere has the mask zero, so C_c = 0 without a pass. The baseline is an image of zeros
    in the units of the model's input, for normalised photos the mean colour.

    One pass for each channel that varies, whatever the number of targets. `channels=K`: only the K channels whose
    activations vary most. `memory`: MiB that the masked images of one chunk, and what the model is reckoned to hold for
    them, may take.

    Takes activations (n, c, *s), returns maps (n, k, *s) in units of the activations. Raises InputError for options
    out of range.

    >>> import seewhy, torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.LazyLinear(2))
    >>> tuple(seewhy.explain(net, torch.rand(5, 3, 8, 8), 1, method="score-cam", layer="1", channels=2).maps.shape)
    (5, 1, 6, 6)
    """
    return score_weighted(
        capture,
        lambda masks, images, channel, step: masks * images,
        steps=1,
        channels=channels,
        memory=memory,
        doing="Score-CAM",
    )
