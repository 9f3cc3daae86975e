"""Strokes and photographs are told apart by their pixels."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from meta_tf.command.adapt_pictures import chosen
from meta_tf.command.strokes import are_strokes, measures
from meta_tf.tasks.images.picture_files import Classes

RNG = np.random.default_rng(0)
SHADE = np.linspace(0, 1, 64)


def page(ink=20, ground=235, colour=(1, 1, 1)):
    """A frame of strokes; 4 * 44 * 3 - 4 * 9 = 492 of 64 * 64 pixels are ink."""
    grey = np.full([64, 64], float(ground))
    grey[10:54, 10:54] = ink
    grey[13:51, 13:51] = ground
    return grey[..., None] * np.array(colour)


def paper():
    """The frame on unevenly lit, yellowish, noisy paper."""
    lit = page() * (1 - 0.2 * SHADE[:, None, None])
    return (lit + RNG.normal(0, 4, lit.shape)) * np.array([1, 0.96, 0.88])


def photograph():
    """Soft shapes in colours."""
    x, y = np.meshgrid(SHADE, SHADE)
    waves = [np.sin(6 * x + a) * np.cos(5 * y + b) for a, b in RNG.uniform(0, 6, [3, 2])]
    return 127 + 120 * np.stack(waves, -1) + RNG.normal(0, 5, [64, 64, 3])


def as_pixels(pictures):
    return np.clip(np.rint(pictures), 0, 255).astype(np.uint8)


def test_the_measures_of_a_frame_are_those_of_its_two_levels():
    colours = (1, 0.9, 0.8)
    ink, ground = 0.9 * 20 / 255, 0.9 * 235 / 255  # grey is the mean of the channels
    share = 492 / 4096
    found = measures(page(colour=colours)[None])
    np.testing.assert_allclose(found.ink, share)
    np.testing.assert_allclose(found.contrast, ground - ink)
    np.testing.assert_allclose(found.bimodality, 1)
    np.testing.assert_allclose(found.deviation, 0, atol=1e-6)
    mean = share * 20 + (1 - share) * 235
    np.testing.assert_allclose(found.colour, mean / 255 * (0.1 + 0 + 0.1) / 3)


def test_otsus_threshold_is_the_best_of_all():
    grey = RNG.integers(0, 256, [1, 8, 8, 1]).repeat(3, -1)
    values = grey[0, ..., 0].ravel() / 255
    best = max(
        (values <= t).mean()
        * (values > t).mean()
        * (values[values <= t].mean() - values[values > t].mean()) ** 2
        for t in np.unique(values)[:-1]
    )
    np.testing.assert_allclose(measures(grey).bimodality, best / values.var())


def test_strokes_and_photographs():
    strokes = as_pixels([page(), 255 - page(), paper(), paper()])
    assert are_strokes(strokes).all()
    others = as_pixels([photograph(), photograph(), np.full([64, 64, 3], 255.0)])
    assert not are_strokes(others).any()


@pytest.mark.parametrize(("drawn", "learner"), [(4, "omniglot"), (3, "photos")])
def test_the_majority_of_the_support_set_chooses(drawn, learner, tmp_path):
    paths = []
    for i in range(6):
        paths.append(tmp_path / f"{i}.png")
        Image.fromarray(as_pixels(page() if i < drawn else photograph())).save(paths[-1])
    name, why = chosen(Classes(["a", "b"], paths, [0, 0, 0, 1, 1, 1]))
    assert name == learner
    number = drawn if learner == "omniglot" else 6 - drawn
    assert f"{number} of 6 pictures" in why


@pytest.mark.slow
@pytest.mark.skipif("META_TF_PHOTOS" not in os.environ, reason="META_TF_PHOTOS is not set")
@pytest.mark.parametrize("name", ["blood", "clothing", "grocery", "hands"])
def test_public_sets_of_photographs_are_photographs(name):
    rng = np.random.default_rng(0)
    folders = sorted((Path(os.environ["META_TF_PHOTOS"]) / name).iterdir())
    for _ in range(20):
        some = rng.permutation(len(folders))[:5]
        paths = [p for i in some for p in rng.permutation(sorted(folders[i].iterdir()))[:5]]
        assert chosen(Classes([], paths, []))[0] == "photos"


@pytest.mark.slow
@pytest.mark.skipif("META_TF_OMNIGLOT" not in os.environ, reason="META_TF_OMNIGLOT is not set")
def test_omniglots_drawings_are_strokes(tmp_path):
    import zipfile

    archive = zipfile.ZipFile(Path(os.environ["META_TF_OMNIGLOT"]) / "images_evaluation.zip")
    names = [n for n in archive.namelist() if n.endswith(".png")]
    for i, name in enumerate(np.random.default_rng(0).permutation(names)[:200]):
        (tmp_path / f"{i}.png").write_bytes(archive.read(str(name)))
    paths = sorted(tmp_path.iterdir())
    for i in range(0, 200, 5):
        assert chosen(Classes([], paths[i : i + 5], []))[0] == "omniglot"
