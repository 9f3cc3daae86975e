"""Made-up photographs: five things, drawn in three dimensions from random sides.

Distance fields (Hart 1996, "Sphere tracing") with light and shadow, so that a network trained on
photographs finds something in them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]  # points [n, 3] to distances [n]
_STEPS, _NEAR, _FAR = 80, 1e-3, 12.0
_UP = np.array([0.0, 1.0, 0.0])


def ball(p: np.ndarray) -> np.ndarray:
    """A sphere."""
    return np.linalg.norm(p, axis=1) - 0.9


def cube(p: np.ndarray) -> np.ndarray:
    """A cube with round edges."""
    q = np.abs(p) - 0.6
    outside = np.linalg.norm(np.maximum(q, 0), axis=1)
    return outside + np.minimum(q.max(1), 0) - 0.12


def ring(p: np.ndarray) -> np.ndarray:
    """A torus, upright."""
    return np.hypot(np.hypot(p[:, 0], p[:, 1]) - 0.7, p[:, 2]) - 0.25


def mug(p: np.ndarray) -> np.ndarray:
    """A cup with a handle."""
    around = np.hypot(p[:, 0], p[:, 2])
    wall = np.maximum(np.abs(around - 0.6) - 0.06, np.abs(p[:, 1]) - 0.8)
    floor = np.maximum(around - 0.6, np.abs(p[:, 1] + 0.75) - 0.06)
    handle = np.hypot(np.hypot(p[:, 0] - 0.75, p[:, 1]) - 0.42, p[:, 2]) - 0.1
    return np.minimum(np.minimum(wall, floor), np.maximum(handle, 0.6 - around))


def bottle(p: np.ndarray) -> np.ndarray:
    """A bottle: two cylinders and a shoulder."""
    around = np.hypot(p[:, 0], p[:, 2])
    radius = np.interp(p[:, 1], [-1.0, 0.25, 0.6, 1.1], [0.48, 0.48, 0.17, 0.17])
    return 0.7 * np.maximum(around - radius, np.abs(p[:, 1] - 0.05) - 1.05)


THINGS: dict[str, Field] = {"Ball": ball, "Box": cube, "Ring": ring, "Mug": mug, "Bottle": bottle}
_COLOURS = {
    "Ball": (0.85, 0.25, 0.2),
    "Box": (0.85, 0.62, 0.3),
    "Ring": (0.9, 0.75, 0.25),
    "Mug": (0.3, 0.5, 0.75),
    "Bottle": (0.25, 0.55, 0.35),
}


def photograph(name: str, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A thing from a random side, in random light, uint8 [height, width, 3]."""
    turn, tilt = rng.uniform(-0.9, 0.9), rng.uniform(0.15, 0.55)
    away = rng.uniform(3.6, 4.6)
    eye = away * np.array([np.sin(turn) * np.cos(tilt), np.sin(tilt), np.cos(turn) * np.cos(tilt)])
    light = np.array([rng.uniform(-1, 1), 1.6, rng.uniform(0.3, 1)])
    light /= np.linalg.norm(light)
    colour = np.clip(np.array(_COLOURS[name]) + rng.normal(scale=0.04, size=3), 0, 1)
    table = np.array([0.72, 0.7, 0.66]) + rng.normal(scale=0.04, size=3)
    thing = THINGS[name]

    def scene(p: np.ndarray) -> np.ndarray:
        return np.minimum(thing(p), p[:, 1] + 1.0)

    rays = _rays(eye, height, width)
    distance = _traced(scene, np.broadcast_to(eye, rays.shape), rays)
    points = eye + np.minimum(distance, _FAR)[:, np.newaxis] * rays
    normals = _normals(scene, points)
    lit = np.maximum(normals @ light, 0)
    lit *= _traced(scene, points + 0.02 * normals, np.broadcast_to(light, rays.shape)) >= _FAR
    shines = np.maximum(_mirrored(rays, normals) @ light, 0) ** 30
    own = thing(points) < points[:, 1] + 1.0
    base = np.where(own[:, np.newaxis], colour, table)
    shade = base * (0.35 + 0.65 * lit)[:, np.newaxis] + (0.35 * own * shines * lit)[:, np.newaxis]
    fog = np.clip((distance - 4) / 8, 0, 1)[:, np.newaxis] ** 1.5
    shade = (1 - fog) * shade + fog * np.array([0.62, 0.66, 0.72])
    noisy = shade + rng.normal(scale=0.01, size=shade.shape)
    return np.rint(255 * np.clip(noisy, 0, 1)).astype(np.uint8).reshape(height, width, 3)


def _rays(eye: np.ndarray, height: int, width: int) -> np.ndarray:
    """The directions of the pixels of a camera that looks at the origin, [height * width, 3]."""
    ahead = -eye / np.linalg.norm(eye)
    right = np.cross(ahead, _UP)
    right /= np.linalg.norm(right)
    short = min(height, width)
    y = (height / 2 - 0.5 - np.arange(height)) / short
    x = (np.arange(width) - width / 2 + 0.5) / short
    across, upward = np.meshgrid(x, y)
    up = np.cross(right, ahead)
    rays = 1.2 * ahead + across[..., np.newaxis] * right + upward[..., np.newaxis] * up
    rays = rays.reshape(-1, 3)
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _traced(scene: Field, start: np.ndarray, rays: np.ndarray) -> np.ndarray:
    """How far each ray goes until it meets the scene; `_FAR` if it does not."""
    gone, going = np.full(len(rays), 0.02), np.arange(len(rays))
    for _ in range(_STEPS):
        step = scene(start[going] + gone[going, np.newaxis] * rays[going])
        gone[going] += step
        going = going[(step > _NEAR) & (gone[going] < _FAR)]
    return np.minimum(gone, _FAR)


def _normals(scene: Field, points: np.ndarray) -> np.ndarray:
    """The gradient of the distance, by central differences."""
    ahead = [scene(points + step) - scene(points - step) for step in 1e-3 * np.eye(3)]
    normals = np.stack(ahead, 1)
    return normals / np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-9)


def _mirrored(rays: np.ndarray, normals: np.ndarray) -> np.ndarray:
    return rays - 2 * np.sum(rays * normals, 1, keepdims=True) * normals
