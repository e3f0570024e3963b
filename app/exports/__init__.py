"""Lists as CSV: `flask --app wsgi export LIST`, and the same for screens. product.md, "Outside in" and "Lists"."""

from app.exports.columns import ExportList, UnknownColumn
from app.exports.lists import LISTS
from app.exports.stream import NoTime, UnknownList, parse_moment, stream_csv

__all__ = ["LISTS", "ExportList", "NoTime", "UnknownColumn", "UnknownList", "parse_moment", "stream_csv"]
