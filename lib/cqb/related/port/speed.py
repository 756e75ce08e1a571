"""What the committed measurements of speed say (`make bench` makes them)."""

from __future__ import annotations

import json
from pathlib import Path

from ... import paths


def told(path: Path | None = None) -> str:
    """A line per case: wall and CPU seconds, and what else was measured of it.

    Raises
    ------
    FileNotFoundError
        Nothing has been measured yet.
    """
    place = path or paths.root() / "figures" / "port_speed.json"
    record = json.loads(place.read_text(encoding="utf-8"))
    machine = record["machine"]
    lines = [f"{machine['processor']}, {machine['cores']} cores"]
    for row in record["rows"]:
        seconds = f"{row['seconds']:.2f} s ({row['cpu_seconds']:.2f} s of CPU time)"
        more = {k: v for k, v in row.items() if k not in ("case", "seconds", "cpu_seconds")}
        told = ", ".join(f"{name.replace('_', ' ')} {value:g}" for name, value in more.items())
        lines.append(f"{row['case']:34s}{seconds}" + (f"; {told}" if told else ""))
    return "\n".join(lines)
