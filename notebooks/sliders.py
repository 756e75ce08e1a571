"""Sliders on the toy queue, for a notebook with a running kernel."""

import io
from typing import Any

import matplotlib.pyplot as plt

from cqb import toy
from cqb.figures import sketches

SCREEN = 110  # dots per inch of the picture


def picture(T: int, **settings: Any) -> bytes:
    """:func:`.sketches.toy_run` of :func:`play` as a PNG; nothing is left open."""
    figure, drawn = sketches.toy_run(play(T, **settings)), io.BytesIO()
    figure.savefig(drawn, dpi=SCREEN)
    plt.close(figure)
    return drawn.getvalue()


def play(T: int, *, seed: int, arrival_rate: float, K: int, exploring: float, ridge: float) -> Any:
    """The toy run of T rounds with these settings, a :class:`cqb.toy.Play`.

    `exploring` is the share of rounds that explore, at most the arrival rate. Raises ValueError as
    :func:`cqb.toy.play`.
    """
    learner = toy.QUICK.with_(exploration_rate=exploring, lambda0=ridge)
    return toy.play(seed=seed, T=T, K=K, arrival_rate=arrival_rate, learner=learner)


def sliders(T: int = 300, seed: int = 2, arrival_rate: float = 0.7, K: int = 2) -> Any:
    """An ipywidgets box: sliders above the picture that they redraw, each within a second.

    Parameters are those of the first picture; ImportError without the extra `notebooks`.
    """
    import ipywidgets as widgets

    knobs = {
        "arrival_rate": widgets.FloatSlider(arrival_rate, min=0.2, max=1.0, step=0.05),
        "K": widgets.IntSlider(K, min=1, max=3),
        "exploring": widgets.FloatSlider(0.15, min=0.0, max=0.2, step=0.01),
        "ridge": widgets.FloatLogSlider(0.25, min=-2, max=1, step=0.25),
        "seed": widgets.IntSlider(seed, min=1, max=20),
    }
    shown = widgets.Image(layout={"max_width": "100%"})

    def redraw(_: Any = None) -> None:
        shown.value = picture(T, **{name: knob.value for name, knob in knobs.items()})

    for name, knob in knobs.items():
        knob.description, knob.continuous_update = name.replace("_", " "), False
        knob.observe(redraw, "value")
    redraw()
    return widgets.VBox([*knobs.values(), shown])
