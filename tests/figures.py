"""Figures read back: laid out, how colours contrast, and that all their text is legible."""

import itertools

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.text import Text


def laid_out(figure):
    FigureCanvasAgg(figure).draw()
    return figure


def contrast(one, other):
    """Contrast ratio of two colours, after the Web Content Accessibility Guidelines 2.2."""
    lights = []
    for colour in (one, other):
        parts = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour)]
        lights.append(0.05 + float(np.dot(parts, (0.2126, 0.7152, 0.0722))))
    return max(lights) / min(lights)


def assert_legible(figure):
    """No two texts overlap by more than a dot, and none leaves the figure."""
    unseen = off_axis(figure)
    boxes = []
    for text in figure.findobj(lambda artist: isinstance(artist, Text) and artist.get_text().strip()):
        box = Text.get_window_extent(text, figure.canvas.get_renderer())
        if text not in unseen:
            boxes.append((text.get_text(), box))
            assert min(box.x0, box.y0, figure.bbox.width - box.x1, figure.bbox.height - box.y1) >= 0, text
    for (words, box), (others, other) in itertools.combinations(boxes, 2):
        across, up = min(box.x1, other.x1) - max(box.x0, other.x0), min(box.y1, other.y1) - max(box.y0, other.y0)
        assert across <= 1 or up <= 1, f"{words!r} overlaps {others!r}"


def off_axis(figure):
    """The labels of ticks outside their axis, which matplotlib keeps but does not draw."""
    unseen = set()
    for axis, at in ((axis, at) for ax in figure.axes for at, axis in enumerate((ax.xaxis, ax.yaxis))):
        low, high = sorted(axis.get_view_interval())
        labels = axis.get_ticklabels(which="both")
        unseen |= {label for label in labels if not low - 1e-9 <= label.get_position()[at] <= high + 1e-9}
    return unseen
