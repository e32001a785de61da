"""Equal to captum and torchcam, where they do the same."""

import pytest
import torch

import seewhy


@pytest.fixture(scope="module")
def resnet50():
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.resnet50(weights=None).eval()


@pytest.mark.filterwarnings("ignore")
def test_equal_to_captum_and_torchcam_on_resnet50(resnet50):
    from captum.attr import LayerGradCam
    from torchcam.methods import GradCAM

    x = torch.randn(2, 3, 96, 96)
    targets = [7, 281, 340, 999]
    explanation = seewhy.explain(resnet50, x, [targets] * 2)
    assert explanation.layer == "layer4"
    assert not explanation.blank.all()
    captum, extractor = LayerGradCam(resnet50, resnet50.layer4), GradCAM(resnet50, "layer4")
    for j, target in enumerate(targets):
        ours = explanation.maps[:, j]
        theirs = captum.attribute(x, target=target).detach()[:, 0]  # signed
        torchcam = extractor(target, resnet50(x), normalized=False)[0].detach()
        scale = float(theirs.abs().max())
        assert float((ours - theirs.clamp(min=0)).abs().max()) <= 1e-5 * scale
        assert float((ours - torchcam).abs().max()) <= 1e-5 * scale
    extractor.remove_hooks()
