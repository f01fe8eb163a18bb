# SPDX-License-Identifier: Apache-2.0
"""Plots as small SVG files, without a library: grouped bars on a logarithmic or linear scale, and
lines over time."""

import html
import math

COLOURS = ["#2a6f97", "#e07a2f", "#8a5a9e", "#5b8c3a", "#b23a48", "#777777"]
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 340, 70, 20, 60, 40


def short(value):
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


class Canvas:
    """Collects shapes; x and y are pixels."""

    def __init__(self, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            f'font-family="sans-serif" font-size="11">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>']
        self.text(LEFT, 20, title, size=14)

    def text(self, x, y, words, anchor="start", size=11):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" '
                          f'font-size="{size}">{html.escape(str(words))}</text>')

    def rect(self, x, y, width, height, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" '
                          f'height="{max(height, 0):.1f}" fill="{colour}"/>')

    def line(self, points, colour, width=1.5):
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" '
                          f'stroke-width="{width}"/>')

    def legend(self, names):
        x = LEFT
        for i, name in enumerate(names):
            self.rect(x, 32, 10, 10, COLOURS[i % len(COLOURS)])
            self.text(x + 14, 41, name)
            x += 30 + 6.5 * len(name)

    def done(self):
        return "\n".join(self.parts + ["</svg>"]) + "\n"


def scale(values, log):
    """Ticks, and a function from value to y."""
    top, foot = HEIGHT - BOTTOM, TOP
    most = max([v for v in values if v > 0], default=1)
    if log:
        low = math.floor(math.log10(min([v for v in values if v > 0], default=1)))
        high = max(math.ceil(math.log10(most)), low + 1)
        ticks = [10 ** e for e in range(low, high + 1)]
        return ticks, lambda v: top - (top - foot) * (
            max(math.log10(v), low) - low if v > 0 else 0) / (high - low)
    step = 10 ** math.floor(math.log10(most))
    step = next(s for s in (step / 5, step / 2, step, step * 2) if most / s <= 8)
    high = math.ceil(most / step) * step
    ticks = [i * step for i in range(round(high / step) + 1)]
    return ticks, lambda v: top - (top - foot) * v / high


def axes(canvas, ticks, y_of):
    for tick in ticks:
        y = y_of(tick)
        canvas.line([(LEFT, y), (WIDTH - RIGHT, y)], "#dddddd", 1)
        canvas.text(LEFT - 6, y + 4, short(tick), "end")


def bars(title, groups, series, log=False):
    """groups: names along x; series: {name: values in the order of groups}, None for no value."""
    canvas = Canvas(title)
    canvas.legend(series)
    ticks, y_of = scale([v for values in series.values() for v in values if v], log)
    axes(canvas, ticks, y_of)
    foot = HEIGHT - BOTTOM
    each = (WIDTH - LEFT - RIGHT) / len(groups)
    bar = each * 0.8 / len(series)
    for g, name in enumerate(groups):
        x = LEFT + g * each + each * 0.1
        canvas.text(x + each * 0.4, foot + 16, name, "middle")
        for s, values in enumerate(series.values()):
            if values[g]:
                y = y_of(values[g])
                canvas.rect(x + s * bar, y, bar - 2, foot - y, COLOURS[s % len(COLOURS)])
                canvas.text(x + (s + 0.5) * bar, y - 3, short(values[g]), "middle", 9)
    return canvas.done()


def lines(title, series, unit="s"):
    """series: {name: [(x, y)…]}; y begins at 0."""
    canvas = Canvas(title)
    canvas.legend(series)
    ticks, y_of = scale([y for points in series.values() for _, y in points], False)
    axes(canvas, ticks, y_of)
    last = max([x for points in series.values() for x, _ in points], default=1) or 1
    for i in range(6):
        x = LEFT + (WIDTH - LEFT - RIGHT) * i / 5
        canvas.text(x, HEIGHT - BOTTOM + 16, f"{short(last * i / 5)} {unit}", "middle")
    for s, points in enumerate(series.values()):
        canvas.line([(LEFT + (WIDTH - LEFT - RIGHT) * x / last, y_of(y)) for x, y in points],
                    COLOURS[s % len(COLOURS)])
    return canvas.done()
