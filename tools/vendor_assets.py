"""Copy the browser libraries into ``static/vendor``; a bare machine has no npm, so the result is committed.

    python tools/vendor_assets.py            install what package-lock.json pins, then copy
    python tools/vendor_assets.py --check    compare static/vendor with its manifest; needs no npm

Versions and checksums of the packages are pinned in ``package.json`` and ``package-lock.json`` (npm refuses a
package whose checksum differs); ``static/vendor/manifest.json`` names the SHA-256 of each copied file.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENDOR = ROOT / "static" / "vendor"
MANIFEST = VENDOR / "manifest.json"
AXE = ROOT / "tests" / "vendor" / "axe.min.js"

#: package: {file in the package: place under static/vendor}
FILES: dict[str, dict[str, str]] = {
    "@tabler/core": {
        "dist/css/tabler.min.css": "tabler/tabler.min.css",
        "dist/css/tabler-themes.min.css": "tabler/tabler-themes.min.css",
        "dist/css/tabler-vendors.min.css": "tabler/tabler-vendors.min.css",
        "dist/js/tabler.min.js": "tabler/tabler.min.js",
    },
    "@tabler/icons": {"LICENSE": "icons/LICENSE"},
    "@fontsource-variable/inter": {"LICENSE": "inter/LICENSE"},
    "htmx.org": {
        "dist/htmx.min.js": "htmx/htmx.min.js",
        "dist/ext/hx-sse.min.js": "htmx/hx-sse.min.js",
        "LICENSE": "htmx/LICENSE",
    },
    "tom-select": {
        "dist/js/tom-select.complete.min.js": "tom-select/tom-select.complete.min.js",
        "dist/css/tom-select.bootstrap5.min.css": "tom-select/tom-select.bootstrap5.min.css",
        "LICENSE": "tom-select/LICENSE",
    },
    "flatpickr": {
        "dist/flatpickr.min.js": "flatpickr/flatpickr.min.js",
        "dist/flatpickr.min.css": "flatpickr/flatpickr.min.css",
        "LICENSE.md": "flatpickr/LICENSE.md",
    },
    "leaflet": {
        "dist/leaflet.js": "leaflet/leaflet.js",
        "dist/leaflet.css": "leaflet/leaflet.css",
        "dist/images/layers.png": "leaflet/images/layers.png",
        "dist/images/layers-2x.png": "leaflet/images/layers-2x.png",
        "dist/images/marker-icon.png": "leaflet/images/marker-icon.png",
        "dist/images/marker-icon-2x.png": "leaflet/images/marker-icon-2x.png",
        "dist/images/marker-shadow.png": "leaflet/images/marker-shadow.png",
        "LICENSE": "leaflet/LICENSE",
    },
    "leaflet.markercluster": {
        "dist/leaflet.markercluster.js": "leaflet/leaflet.markercluster.js",
        "dist/MarkerCluster.css": "leaflet/MarkerCluster.css",
        "dist/MarkerCluster.Default.css": "leaflet/MarkerCluster.Default.css",
        "MIT-LICENCE.txt": "leaflet/LICENSE.markercluster",
    },
    "chart.js": {"dist/chart.umd.min.js": "chart/chart.umd.min.js", "LICENSE.md": "chart/LICENSE.md"},
    "world-atlas": {"LICENSE": "world/LICENSE"},
}
FONT_SUBSETS = ("cyrillic", "greek", "latin-ext", "latin")
SOURCE_MAP = re.compile(rb"\n?(//|/\*)# sourceMappingURL=[^\n]*?(\*/)?\s*$")


def main(arguments: list[str]) -> int:
    """Run the script; returns the exit status."""
    if arguments == ["--check"]:
        return report(problems())
    if arguments:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        modules = install(Path(folder))
        if VENDOR.exists():
            shutil.rmtree(VENDOR)
        copy_files(modules)
        copy_fonts(modules)
        write_sprite(modules)
        write_world(modules)
        place(AXE, (modules / "axe-core" / "axe.min.js").read_bytes())
        write_manifest(modules)
    return report(problems())


def install(folder: Path) -> Path:
    """Install the pinned packages into ``folder`` and return its node_modules."""
    for name in ("package.json", "package-lock.json"):
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder / "node_modules"


def place(target: Path, content: bytes) -> None:
    """Write ``content`` without the reference to a source map, which is not shipped."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(SOURCE_MAP.sub(b"\n", content) if target.suffix in (".js", ".css") else content)


def copy_files(modules: Path) -> None:
    """Copy the files named in FILES."""
    for package, files in FILES.items():
        for source, target in files.items():
            place(VENDOR / target, (modules / package / source).read_bytes())


def copy_fonts(modules: Path) -> None:
    """Copy Inter for the alphabets that are used, with a style sheet that names only those."""
    package = modules / "@fontsource-variable" / "inter"
    sheet = (package / "index.css").read_text()
    blocks = dict(re.findall(r"/\* (inter-[a-z-]+-wght-normal) \*/\s*(@font-face \{.*?\})", sheet, re.S))
    wanted = []
    for subset in FONT_SUBSETS:
        name = f"inter-{subset}-wght-normal"
        place(VENDOR / "inter" / f"{name}.woff2", (package / "files" / f"{name}.woff2").read_bytes())
        wanted.append(re.sub(r"\s+", " ", blocks[name].replace("./files/", "")))
    place(VENDOR / "inter" / "inter.css", ("\n".join(wanted) + "\n").encode())


def write_sprite(modules: Path) -> None:
    """Join the icons named in static/icons.txt to one SVG file of symbols."""
    symbols = []
    for name in icon_names():
        svg = (modules / "@tabler" / "icons" / "icons" / "outline" / f"{name}.svg").read_text()
        paths = "".join(re.findall(r"<(?:path|circle|rect|line)[^>]*/>", svg))
        paths = paths.replace('<path stroke="none" d="M0 0h24v24H0z" fill="none" />', "").replace(" />", "/>")
        symbols.append(f'<symbol id="{name}" viewBox="0 0 24 24">{paths}</symbol>')
    style = 'fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" stroke-linejoin="round"'
    sprite = f'<svg xmlns="http://www.w3.org/2000/svg" {style}>' + "\n".join(symbols) + "</svg>\n"
    place(VENDOR / "icons" / "sprite.svg", sprite.encode())


def icon_names() -> list[str]:
    """The icons that templates and views may use."""
    lines = (ROOT / "static" / "icons.txt").read_text().splitlines()
    return sorted({line.strip() for line in lines if line.strip() and not line.startswith("#")})


def write_world(modules: Path) -> None:
    """The outline of the countries that the map shows when no tile server is set."""
    command = ["node", str(ROOT / "tools" / "world_outline.cjs"), str(modules)]
    place(VENDOR / "world" / "world.json", subprocess.run(command, check=True, capture_output=True).stdout)


def write_manifest(modules: Path) -> None:
    """Name each package's version and each file's checksum."""
    packages = [*FILES, "topojson-client", "axe-core"]
    versions = {name: json.loads((modules / name / "package.json").read_text())["version"] for name in packages}
    content = {"packages": versions, "files": {key: digest(path) for key, path in vendored().items()}}
    MANIFEST.write_text(json.dumps(content, indent=1, sort_keys=True) + "\n")


def vendored() -> dict[str, Path]:
    """Every file that the script made, by its path from the root of the repository."""
    paths = [path for path in VENDOR.rglob("*") if path.is_file() and path != MANIFEST]
    return {str(path.relative_to(ROOT)): path for path in [*sorted(paths), AXE]}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def problems() -> list[str]:
    """What differs between the manifest, package.json and the files."""
    manifest = json.loads(MANIFEST.read_text())
    pinned = json.loads((ROOT / "package.json").read_text())["devDependencies"]
    found = {key: digest(path) for key, path in vendored().items() if path.exists()}
    wrong = [f"{name}: {pinned.get(name)} is pinned, {version} is vendored"
             for name, version in manifest["packages"].items() if pinned.get(name) != version]  # fmt: skip
    names = sorted(set(manifest["files"]) | set(found))
    return wrong + [f"{name}: changed" for name in names if manifest["files"].get(name) != found.get(name)]


def report(wrong: list[str]) -> int:
    """Print what is wrong to standard error, or the size of what is there."""
    if wrong:
        sys.stderr.write("\n".join(wrong) + "\n")
        return 1
    size = sum(path.stat().st_size for path in vendored().values() if path != AXE)
    sys.stdout.write(f"static/vendor: {size / 1e6:.2f} MB, all files as in the manifest\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
