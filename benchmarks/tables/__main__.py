"""Writes the tables of README, pages and notebooks, and the pictures of speed, the grid and learning, from the records.

python -m benchmarks.tables            writes them
python -m benchmarks.tables --check    exits with 1, and names the page, where one differs

No number is typed by hand: a table stands between `<!-- table: NAME -->` and `<!-- end -->`.
"""

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks.learning.flossed import flossed_table
from benchmarks.learning.flow_cost import flow_cost_table
from benchmarks.learning.monitor_cost import monitor_cost_table
from benchmarks.shared import RESULTS, ROOT
from benchmarks.speed.compiling import compile_cpu_table
from benchmarks.speed.latency import latency_table
from benchmarks.speed.options import options_table
from benchmarks.tables import (
    agents,
    durations,
    footprint,
    forecasts,
    grid,
    learning_tables,
    lessons,
    model_tables,
    pictures,
    readme_tables,
    speed_tables,
    writable_tables,
)

TABLES: dict[str, Callable[[], str]] = {
    "numbers": readme_tables.numbers_table,
    "speed": readme_tables.speed_table,
    "memory_row": readme_tables.memory_row_table,
    "compare_seconds": durations.compare_seconds,
    "train_seconds": durations.train_seconds_table,
    "footprint": footprint.footprint_table,
    "startup": footprint.startup_table,
    "compare": speed_tables.compare_table,
    "backward": speed_tables.backward_table,
    "forward": speed_tables.forward_table,
    "memory": speed_tables.memory_table,
    "compile": speed_tables.compile_table,
    "compile_cpu": compile_cpu_table,
    "grid": grid.grid_table,
    "models": model_tables.models_table,
    "options": options_table,
    "latency": latency_table,
    "learning": learning_tables.learning_table,
    "writable": writable_tables.writable_table,
    "copying": writable_tables.copying_table,
    "rates": writable_tables.rates_table,
    "forecast": forecasts.forecast_table,
    "forecast_tasks": forecasts.forecast_tasks_table,
    "flossed": flossed_table,
    "flow_cost": flow_cost_table,
    "monitor_cost": monitor_cost_table,
    "digits": learning_tables.digits_table,
    "agreement": learning_tables.agreement_table,
    "distance": learning_tables.distance_table,
    "choice": learning_tables.choice_table,
    "text": learning_tables.text_table,
    "agents": agents.agents_table,
    **lessons.TABLES,
}


def filled(text: str) -> str:
    """`text` with every `<!-- table: NAME -->` block filled."""

    def fill(match: re.Match[str]) -> str:
        return f"{match[1]}\n{TABLES[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- table: (\w+) -->)\n.*?(<!-- end -->)", fill, text, flags=re.DOTALL)


def filled_notebook(text: str) -> str:
    """A notebook with every block in its text filled; code and outputs stay as they are."""
    content = json.loads(text)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = filled("".join(cell["source"])).splitlines(keepends=True)
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def pages() -> list[Path]:
    """The README, the pages of the documentation, and the notebooks."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *lessons.NOTEBOOKS]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="write nothing; 1 where a page differs")
    options = parser.parse_args()
    differ = 0
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = filled_notebook(before) if page.suffix == ".ipynb" else filled(before)
        if options.check and before != after:
            print(page.relative_to(ROOT).as_posix())
            differ = 1
        elif before != after:
            page.write_text(after, encoding="utf-8")
    if options.check:
        return differ
    pictures.speed_picture(RESULTS / "speed.png")
    grid.grid_picture(RESULTS / "grid.png")
    pictures.learning_pictures()
    return 0


if __name__ == "__main__":
    sys.exit(main())
