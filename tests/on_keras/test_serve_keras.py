"""The HTTP API over a Keras model: photos, and prepared images in the layout that the model has."""

import numpy as np
from starlette.testclient import TestClient

import seewhy
from seewhy.serve._models import Models
from seewhy.serve.app import create_app
from serving import b64, jpeg


def test_a_keras_model_is_served():
    model = seewhy.load("keras:lite0")
    models = Models({"lite0": model})
    assert models["lite0"].shape == (224, 224, 3)
    explainer = seewhy.Explainer(model)
    with TestClient(create_app(models)) as client:
        asked = {"instances": [b64(jpeg(0)), b64(jpeg(1))], "parameters": {"top": 2}}
        answer = client.post("/v1/models/lite0:explain", json=asked).json()
        for seed, found in enumerate(answer["explanations"]):
            expected = np.asarray(explainer(jpeg(seed), seewhy.top(2)).maps[0])
            maps = [target["map"] for target in found["targets"]]
            np.testing.assert_allclose(maps, expected, rtol=0, atol=1e-4 * expected.max())
        image = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)
        tensor = {"name": "image", "datatype": "FP32", "shape": list(image.shape), "data": image.tolist()}
        [found, *_] = client.post("/v2/models/lite0/infer", json={"inputs": [tensor]}).json()["outputs"]
        expected = np.asarray(explainer(image).maps)
        np.testing.assert_allclose(found["data"], expected.ravel(), rtol=0, atol=1e-4 * expected.max())
