"""The reports of earlier runs on Locust's own web page: /results/."""

from __future__ import annotations

from pathlib import Path

from flask import Flask, Response, send_from_directory
from markupsafe import Markup

_PAGE = Markup("<!doctype html><meta charset=utf-8><title>Runs</title><h1>Runs</h1><ul>{}</ul>")
_LINE = Markup('<li><a href="{0}">{0}</a>')


def add_pages(app: Flask, results: Path) -> None:
    """Show what the folder of all runs has, the newest first; nothing outside it."""

    @app.route("/results/")
    def runs() -> Response:
        """All reports."""
        reports = sorted((path.relative_to(results) for path in results.rglob("*.html")), reverse=True)
        lines = Markup("").join(_LINE.format(report.as_posix()) for report in reports)
        return Response(_PAGE.format(lines or "There is none yet."), mimetype="text/html")

    @app.route("/results/<path:name>")
    def run(name: str) -> Response:
        """A file of a run."""
        return send_from_directory(results.resolve(), name)
