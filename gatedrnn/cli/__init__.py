"""The command `gatedrnn`: parse, call, print."""

from gatedrnn.cli import compare, diagnose, forecast, generate, inspect, race, train
from gatedrnn.cli._app import app, main

__all__ = ["app", "compare", "diagnose", "forecast", "generate", "inspect", "main", "race", "train"]
