"""Makes the pictures of this folder and expected.safetensors, which holds what Pillow makes of them.

Made with Python 3, numpy 2.4.6, Pillow 13.0.0, safetensors 0.8.0:

    python3 make.py

Keys: <picture>/<rgb|grey>/<width>x<height>, uint8, (H, W, 3) or (H, W). Transparency is shown on white.
Do not regenerate to make a test pass: the numbers are the definition.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from safetensors.numpy import save_file

HERE = Path(__file__).parent
SIZES = [(28, 28), (64, 64), (45, 71)]  # width, height; the last is odd and enlarges one side of every picture


def gradient():
    """Smooth ramps, one direction a channel: shows a wrong phase or a wrong channel order."""
    y, x = np.mgrid[0:64, 0:96]
    red, green, blue = x / 95, y / 63, (x + y) / (95 + 63)
    return np.stack([red, green, blue], axis=-1)


def photograph(rng):
    """Blurred shapes, hard edges and sensor noise, three times as large as what nets take."""
    base = Image.fromarray(rng.integers(0, 256, (96, 84, 3), dtype=np.uint8)).filter(ImageFilter.GaussianBlur(6))
    picture = np.asarray(base, dtype=np.float64) / 255
    picture = (picture - picture.min()) / (picture.max() - picture.min())
    picture[20:50, 30:60] = [0.9, 0.2, 0.1]
    picture[60:62, :] = 1.0
    return np.clip(picture + rng.normal(0, 0.04, picture.shape), 0, 1)


def checkers(rng):
    """37 × 53, every pixel black or white in each channel: the hardest case for rounding and for antialias."""
    return rng.integers(0, 2, (53, 37, 3)).astype(np.float64)


def on_white(picture):
    white = Image.new("RGBA", picture.size, (255, 255, 255, 255))
    return Image.alpha_composite(white, picture).convert("RGB")


def main():
    rng = np.random.default_rng(20220301)
    pictures = {"gradient": gradient(), "photograph": photograph(rng), "checkers": checkers(rng)}
    pictures = {name: Image.fromarray((255 * values).round().astype(np.uint8)) for name, values in pictures.items()}
    pictures["transparent"] = Image.fromarray(rng.integers(0, 256, (23, 31, 4), dtype=np.uint8), "RGBA")

    expected = {}
    for name, picture in pictures.items():
        picture.save(HERE / f"{name}.png", optimize=True)
        opaque = on_white(picture) if picture.mode == "RGBA" else picture
        for mode, label in [("RGB", "rgb"), ("L", "grey")]:
            for width, height in SIZES:
                resized = opaque.convert(mode).resize((width, height), Image.Resampling.BILINEAR)
                expected[f"{name}/{label}/{width}x{height}"] = np.ascontiguousarray(resized)
    save_file(expected, HERE / "expected.safetensors")


if __name__ == "__main__":
    main()
