"""Lists as CSV: `flask --app wsgi export LIST`, and the same for screens. product.md, "Outside in" and "Lists"."""

from app.exports.lists import LISTS, ExportList
from app.exports.stream import UnknownList, parse_moment, stream_csv

__all__ = ["LISTS", "ExportList", "UnknownList", "parse_moment", "stream_csv"]
