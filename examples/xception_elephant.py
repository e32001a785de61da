"""Grad-CAM as in the well-known Keras walk-through: what does Xception see in a photo, and where?

python examples/xception_elephant.py elephant.jpg
python examples/xception_elephant.py elephant.jpg --weights xception.h5    # a local file in place of the download
python examples/xception_elephant.py --weights random                      # only to see it run: no photo, no weights
"""

import argparse
import sys

import seewhy
from seewhy.photos import embedded_photo


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="Explain a photo with Xception, and save the picture.")
    parser.add_argument("photo", nargs="?", metavar="PHOTO", help="without one: an embedded photo of a motorcycle")
    parser.add_argument("--weights", metavar="PATH|random", help="a local file in place of Keras's download")
    parser.add_argument("--out", default="elephant_cam.jpg", help="the picture to write (default: %(default)s)")
    parser.add_argument("--target", metavar="LABEL|INDEX", help="the class to explain (default: the predicted one)")
    options = parser.parse_args(arguments)
    target = int(options.target) if (options.target or "").isdecimal() else options.target

    if options.weights == "random":
        model = random_xception()
        print("These weights are random: the prediction and the picture mean nothing.")
    else:
        model = seewhy.load("keras:Xception", weights=options.weights)
    if options.photo is None:
        print("No photo was given: this is an embedded one, of a motorcycle.")

    explanation = seewhy.explain(model, options.photo or embedded_photo("motorcycle"), target)
    for prediction in explanation.predictions():
        print(f"{prediction.probability:6.1%}  {prediction.label}")
    print(explanation.describe())
    print("->", explanation.save(options.out, style="classic"))


def random_xception():
    import keras

    keras.utils.set_random_seed(0)
    return keras.applications.Xception(weights=None)  # a Keras model can be explained as it is


if __name__ == "__main__":
    try:
        main()
    except seewhy.SeewhyError as error:
        sys.exit(f"error: {error}")
