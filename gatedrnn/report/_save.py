"""A comparison, or an inspection, as files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gatedrnn import plots
from gatedrnn._output import whole_files, write_json
from gatedrnn.flow import Comparison, Inspection
from gatedrnn.report._inspection import inspection_html, named_maps, short, strip
from gatedrnn.report._page import html


def save(comparison: Comparison, out: str | Path) -> list[Path]:
    """Writes `comparison.json`, `report.html`, and the waterfall and the gates as PNG and SVG.

    Args:
        comparison: what `gatedrnn.flow.compare` returns.
        out: the folder; made if it is missing. Each file appears whole or not at all.

    Returns:
        The files' paths.

    Raises:
        ValueError: the folder cannot be made or written to.
    """
    driven = [gate_map for gate_map in comparison.gate_maps if gate_map.varies]  # at rest its picture is one colour
    maps = [vars(gate_map) for gate_map in driven or comparison.gate_maps]
    text = comparison.to_json()
    record = json.loads(text)
    with whole_files(out) as draft:
        (draft / "comparison.json").write_text(text, encoding="utf-8")
        plots.save(plots.waterfall(record["runs"]), draft / "waterfall")
        if maps:
            plots.save(plots.gate_heatmap(maps), draft / "gates")
        page = html({**record, "gate_maps": maps})
        (draft / "report.html").write_text(page, encoding="utf-8", errors="backslashreplace")
        names = sorted(file.name for file in draft.iterdir())
    return [Path(out) / name for name in names]


def save_inspection(found: Inspection, record: Mapping[str, Any], out: str | Path) -> list[Path]:
    """Writes `inspection.json`, `report.html`, and the strip, the gradient, audits, spectrum and gates as PNG and SVG.

    Args:
        found: what `gatedrnn.flow.inspect` returns.
        record: as `inspection_html` takes it.
        out: the folder; made if it is missing. Each file appears whole or not at all.

    Returns:
        The files' paths.

    Raises:
        ValueError: the folder cannot be made or written to.
    """
    maps = named_maps(found, record)
    with whole_files(out) as draft:
        write_json(draft / "inspection.json", dict(record))
        plots.save(strip(record), draft / "strip")
        plots.save(plots.paths({short(record["reading"]["cell"]): found.gradient}), draft / "gradient")
        plots.save(plots.audits(record), draft / "audits")
        plots.save(plots.spectrum(found.spectrum), draft / "spectrum")
        if maps:
            plots.save(plots.gate_heatmap(maps), draft / "gates")
        page = inspection_html(found, record)
        (draft / "report.html").write_text(page, encoding="utf-8", errors="backslashreplace")
        names = sorted(file.name for file in draft.iterdir())
    return [Path(out) / name for name in names]
