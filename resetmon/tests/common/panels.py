"""Draws what the dashboards show, much as Grafana lays it out, for those who have none at hand.

    RESETMON_PANELS=FOLDER cargo xtask scenarios
    python3 resetmon/tests/common/panels.py FOLDER

Reads FOLDER/panels.json: every panel with Prometheus' answers to its queries. Writes one PNG a
dashboard and row of panels. Needs matplotlib.
"""

import json
import os
import re
import sys
import textwrap

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm

# Inches of one of the 24 columns, and of one unit of height.
WIDTH, HEIGHT = 0.85, 0.55


def legend(target, metric):
    """The name of a series, by Grafana's form of legends."""
    form = target["legendFormat"]
    return re.sub(r"\{\{(\w+)\}\}", lambda m: metric.get(m[1], ""), form) or str(metric)


def moments(series):
    # Days since 1970, as matplotlib counts them.
    return [float(at) / 86400 for at, _ in series["values"]]


def numbers(series):
    return [float(value) for _, value in series["values"]]


def stat(axis, panel, answers):
    result = answers[0][1]["result"]
    value = float(result[0]["value"][1]) if result else 0.0
    steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
    colour = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    axis.set_facecolor({"blue": "#3274d9", "green": "#37872d", "red": "#c4162a"}[colour])
    axis.text(0.5, 0.5, f"{value:g}", ha="center", va="center", fontsize=30, color="white",
              transform=axis.transAxes)
    axis.set_xticks([])
    axis.set_yticks([])


def over_time(axis, panel, answers):
    custom = panel["fieldConfig"]["defaults"]["custom"]
    reduce = {"sum": sum, "max": max}[panel["options"]["legend"]["calcs"][0]]
    names, figures, all_moments = [], [], sorted(
        {m for _, data in answers for s in data["result"] for m in moments(s)})
    below = dict.fromkeys(all_moments, 0.0)
    step = 5 / 86400
    for target, data in answers:
        for series in data["result"]:
            at, values = moments(series), numbers(series)
            names.append(legend(target, series["metric"]))
            figures.append(reduce(values))
            if custom["drawStyle"] == "bars":
                axis.bar(at, values, step * 0.9, bottom=[below[m] for m in at], label=names[-1])
                for m, value in zip(at, values):
                    below[m] += value
            else:
                axis.plot(at, values, label=names[-1], linewidth=1)
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axis.tick_params(labelsize=7)
    handles = sorted(zip(figures, axis.get_legend_handles_labels()[0], names), key=lambda h: -h[0])
    rows = int(panel["gridPos"]["h"] * 1.9)
    if handles:
        axis.legend([h[1] for h in handles[:rows]], [f"{h[2]}  {h[0]:g}" for h in handles[:rows]],
                    fontsize=6, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    else:
        axis.text(0.5, 0.5, "no data", ha="center", transform=axis.transAxes)


def heatmap(axis, panel, answers):
    target, data = answers[0]
    rows = sorted(data["result"], key=lambda s: float(s["metric"]["le"].replace("+Inf", "inf")))
    bounds = [s["metric"]["le"] for s in rows]
    at = sorted({m for s in rows for m in moments(s)})
    grid, before = [], dict.fromkeys(at, 0.0)
    for series in rows:
        now = dict(zip(moments(series), numbers(series)))
        # Buckets are cumulative.
        grid.append([max(now.get(m, 0.0) - before[m], 0.0) for m in at])
        before = {m: now.get(m, 0.0) for m in at}
    largest = max([v for row in grid for v in row] + [1.0])
    axis.imshow([[v if v > 1e-9 else float("nan") for v in row] for row in grid], aspect="auto", origin="lower",
                cmap="Oranges", norm=LogNorm(0.5, largest), extent=(at[0], at[-1], 0, len(grid)))
    axis.set_yticks([n + 1 for n in range(len(bounds))], bounds, fontsize=5)
    axis.xaxis.set_major_formatter(dates.DateFormatter("%H:%M"))
    axis.tick_params(axis="x", labelsize=7)


def table(axis, panel, answers):
    axis.axis("off")
    result = answers[0][1]["result"]
    columns = sorted({name for s in result for name in s["metric"]})
    words = {o["matcher"]["options"]: o["properties"][0]["value"][0]["options"]
             for o in panel["fieldConfig"]["overrides"]
             if o["properties"] and o["properties"][0]["id"] == "mappings"}
    hidden, order = {"Time"}, {}
    for change in panel.get("transformations", []):
        order = change["options"].get("indexByName", {})
        hidden |= {n for n, on in change["options"].get("excludeByName", {}).items() if on}
    columns = [c for c in columns if c not in hidden] + ["Value"]
    columns.sort(key=lambda c: order.get(c, 99))
    renamed = {}
    for change in panel.get("transformations", []):
        renamed |= change["options"].get("renameByName", {})
    rows = []
    for series in result[: int(panel["gridPos"]["h"] * 1.6)]:
        row = []
        for column in columns:
            text = (f"{float(series['value'][1]):g}" if column == "Value"
                    else series["metric"].get(column, ""))
            text = words.get(column, {}).get(text, {"text": text})["text"]
            row.append(textwrap.shorten(text, 150 if column in words else 44))
        rows.append(row)
    if not rows:
        axis.text(0.5, 0.5, "no data", ha="center", transform=axis.transAxes)
        return
    widths = [max([len(str(r[n])) for r in rows] + [len(renamed.get(columns[n], columns[n])), 5])
              for n in range(len(columns))]
    drawn = axis.table(rows, colLabels=[renamed.get(c, c) for c in columns], loc="upper left",
                       colWidths=[w / sum(widths) for w in widths], cellLoc="left")
    drawn.auto_set_font_size(False)
    drawn.set_fontsize(6)


DRAW = {"stat": stat, "timeseries": over_time, "heatmap": heatmap, "table": table}


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "panels.json"), encoding="utf-8") as file:
        kept = json.load(file)
    panels = {}
    for one in kept:
        key = (one["dashboard"], one["panel"]["id"])
        panels.setdefault(key, (one["panel"], []))[1].append((one["target"], one["data"]))
    figures = {}
    for (dashboard, _), (panel, answers) in panels.items():
        figures.setdefault(dashboard, []).append((panel, answers))
    for dashboard, all_of_it in figures.items():
        # Pages of at most 30 units of height can be read.
        pages, top = [[]], all_of_it[0][0]["gridPos"]["y"]
        for panel, answers in all_of_it:
            if panel["gridPos"]["y"] + panel["gridPos"]["h"] - top > 30:
                pages.append([])
                top = panel["gridPos"]["y"]
            pages[-1].append((panel, answers))
        for number, page in enumerate(pages, 1):
            top = min(p["gridPos"]["y"] for p, _ in page)
            height = max(p["gridPos"]["y"] + p["gridPos"]["h"] for p, _ in page) - top
            figure = plt.figure(figsize=(24 * WIDTH, height * HEIGHT))
            for panel, answers in page:
                place = panel["gridPos"]
                wide = {"timeseries": 0.6, "heatmap": 0.9, "table": 0.97, "stat": 0.9}[panel["type"]]
                axis = figure.add_axes((
                    (place["x"] + 0.7) / 24, 1 - (place["y"] - top + place["h"] - 0.6) / height,
                    (place["w"] - 0.7) / 24 * wide, (place["h"] - 1.5) / height))
                axis.set_title(panel["title"], fontsize=9, loc="left")
                DRAW[panel["type"]](axis, panel, answers)
            name = os.path.join(folder, f"{dashboard}-{number}.png")
            figure.savefig(name, dpi=80)
            plt.close(figure)
            print(name)


main()
