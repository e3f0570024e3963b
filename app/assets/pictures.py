"""Pictures that admins upload: decoded, turned upright, shrunk, and encoded anew, so that only pixels are kept.

What a phone writes beside the pixels (place, owner, camera) never reaches the database, and a file that only claims to
be a picture goes no further. Manual, "Adding a Location", Location image and Images; "Location Images".
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from PIL import Image, ImageOps
from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from app.assets.models import Location, LocationImage, LocationPhoto
from app.core.files import StoredFile, store_file

MAX_UPLOAD_BYTES = 15 * 1024 * 1024
#: what a decoder may be asked to unpack; the best phones have 50 million
MAX_PIXELS = 60_000_000
MAX_SIDE_PX = 1600
SMALL_SIDE_PX = 360
MAX_PHOTOS = 12
FORMATS = ("JPEG", "PNG", "WEBP")
#: content type → what a downloaded file is called
KEPT_TYPES = {"image/jpeg": "jpg", "image/webp": "webp"}
#: digits of the SHA-256 in a picture's address: it changes with the picture and cannot be guessed
MARK_LENGTH = 20
_QUALITY = 82


class InvalidPicture(ValueError):
    """The file cannot be kept as a picture; the message says why and what would do."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture, its sides in pixels."""

    data: bytes
    content_type: str
    width: int
    height: int


def read_picture(data: bytes, *, name: str = "The file", max_side_px: int = MAX_SIDE_PX) -> Picture:
    """The picture of an uploaded file: upright, at most ``max_side_px`` on each side, without metadata.

    JPEG, or WebP where something of it is transparent. Raises InvalidPicture.
    """
    if not data:
        raise InvalidPicture(f"{name} is empty.")
    if len(data) > MAX_UPLOAD_BYTES:
        raise InvalidPicture(f"{name} is larger than {MAX_UPLOAD_BYTES // 1024 // 1024} MB.")
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as source:
            if source.width * source.height > MAX_PIXELS:
                raise InvalidPicture(f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels.")
            source.draft("RGB", (max_side_px, max_side_px))  # lets JPEG be decoded at a fraction of its size
            upright = ImageOps.exif_transpose(source)
            upright.thumbnail((max_side_px, max_side_px), Image.Resampling.LANCZOS)
            return _encoded(upright)
    except InvalidPicture:
        raise
    except Image.DecompressionBombError:
        raise InvalidPicture(f"{name} has more than {MAX_PIXELS // 1_000_000} million pixels.") from None
    except Exception:  # a broken file makes decoders stumble anywhere: OSError, SyntaxError, struct.error…
        raise InvalidPicture(f"{name} is not a picture that can be read. Use JPEG, PNG or WebP.") from None


def _encoded(image: Image.Image) -> Picture:
    out = io.BytesIO()
    see_through = image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info
    if see_through:
        image = image.convert("RGBA")
        see_through = image.getchannel("A").getextrema() != (255, 255)
    # only pixels: a fresh image has no EXIF, profile or text to be written
    plain = Image.new("RGBA" if see_through else "RGB", image.size)
    plain.paste(image.convert(plain.mode))
    if see_through:
        plain.save(out, "WEBP", quality=_QUALITY, method=4)
    else:
        plain.save(out, "JPEG", quality=_QUALITY, optimize=True, progressive=True)
    return Picture(out.getvalue(), "image/webp" if see_through else "image/jpeg", *plain.size)


def keep_picture(session: Session, *, picture: Picture, name: str, now: datetime) -> StoredFile:
    """Store a picture; flushes. ``name`` is the uploaded file's, for people."""
    stem = name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0].strip() or "picture"
    return store_file(
        session,
        name=f"{stem[:200]}.{KEPT_TYPES[picture.content_type]}",
        content_type=picture.content_type,
        chunks=(picture.data,),
        max_bytes=MAX_UPLOAD_BYTES,
        now=now,
    )


def replace_media(session: Session, *, image: LocationImage, picture: Picture, name: str, now: datetime) -> None:
    """Give a location image another picture; all its locations show it at once, under another address. Flushes."""
    before = image.file if image.file_id is not None else None
    image.file = keep_picture(session, picture=picture, name=name, now=now)
    if before is not None:
        session.flush()
        session.delete(before)


def arrange_photos(
    session: Session,
    *,
    location: Location,
    order: Sequence[int],
    removed: Sequence[int],
    added: Sequence[tuple[str, Picture]],
    now: datetime,
) -> None:
    """Remove, order and add pictures of a location; those that ``order`` does not name stay behind the named ones.

    Raises InvalidPicture when there would be more than MAX_PHOTOS.
    """
    places = {number: place for place, number in enumerate(order)}
    gone = [photo for photo in location.photos if photo.id in set(removed)]
    kept = [photo for photo in location.photos if photo not in gone]
    if len(kept) + len(added) > MAX_PHOTOS:
        raise InvalidPicture(f"A location has at most {MAX_PHOTOS} images; this would be {len(kept) + len(added)}.")
    kept.sort(key=lambda photo: places.get(photo.id, len(places)))
    for photo in gone:
        location.photos.remove(photo)
        session.delete(photo.file)
    for name, picture in added:
        photo = LocationPhoto(file=keep_picture(session, picture=picture, name=name, now=now))
        location.photos.append(photo)
        kept.append(photo)
    for place, photo in enumerate(kept):
        photo.position = place


def forget_photos(session: Session, *, location: Location) -> None:
    """Delete the files of a location that is being deleted; its photos go with it."""
    for photo in list(location.photos):
        session.delete(photo.file)


def forget_media(session: Session, *, image: LocationImage) -> None:
    """Delete the file of a location image that is being deleted."""
    session.delete(image.file)


def shown_file(session: Session, *, file_id: int, mark: str) -> StoredFile | None:
    """The file of a location image or photo whose SHA-256 begins with ``mark``; None for any other file.

    Firmware and diagnostics are kept in the same table and are nobody's to see.
    """
    if len(mark) < MARK_LENGTH:
        return None
    of_image = exists().where(LocationImage.file_id == StoredFile.id)
    of_photo = exists().where(LocationPhoto.file_id == StoredFile.id)
    return session.scalars(
        select(StoredFile).where(
            StoredFile.id == file_id,
            StoredFile.sha256.startswith(mark, autoescape=True),
            StoredFile.content_type.in_(KEPT_TYPES),
            of_image | of_photo,
        )
    ).one_or_none()


def locations_using(session: Session, *, image_id: int, limit: int = 5) -> tuple[list[Location], int]:
    """Some of the locations that show a location image, and how many there are."""
    query = select(Location).where(Location.image_id == image_id).order_by(Location.id)
    found = list(session.scalars(query.limit(limit + 1)))
    if len(found) <= limit:
        return found, len(found)
    count = session.scalar(select(func.count()).select_from(query.order_by(None).subquery())) or 0
    return found[:limit], count
