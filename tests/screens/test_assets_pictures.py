"""Pictures of locations: what is kept of an upload, the set, several on a location, and who may fetch them."""

from __future__ import annotations

import io
import re
from html import unescape
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from werkzeug.datastructures import MultiDict

from app.assets import pictures
from app.assets.models import Location, LocationImage
from app.core.clock import utcnow
from app.core.files import StoredFile, StoredFilePiece, store_file
from app.core.models import AuditEntry
from tests.screens.test_assets_locations import fields
from tests.support.factories_assets import make_location
from tests.support.factories_dashboard import Visitor, make_admin, signed_in, visitor

IMAGES = "/assets/location-images/"
ORIENTATION, ARTIST = 0x0112, 0x013B


@pytest.fixture
def olga(session: Session, clean: Flask) -> Visitor:
    """A Super User, signed in."""
    return signed_in(clean, make_admin(session))


def encoded(kind: str = "JPEG", size: tuple[int, int] = (64, 48), mode: str = "RGB", **options: Any) -> bytes:
    """A picture whose left half is red."""
    image = Image.new(mode, size, "blue")
    image.paste(Image.new(mode, (size[0] // 2, size[1]), "red"), (0, 0))
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def upload(data: bytes, name: str = "street.jpg") -> tuple[io.BytesIO, str]:
    return io.BytesIO(data), name


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


# --- what is kept of a picture


def test_a_phone_picture_is_turned_shrunk_and_its_metadata_dropped() -> None:
    exif = Image.Exif()
    exif[ORIENTATION], exif[ARTIST] = 6, "Somebody's name"
    kept = pictures.read_picture(encoded(size=(3200, 2400), exif=exif))
    assert (kept.width, kept.height) == (1200, 1600)
    assert b"Somebody" not in kept.data and not dict(opened(kept.data).getexif())
    # turned by a quarter: what was left is on top
    top, bottom = (opened(kept.data).getpixel((600, y)) for y in (100, 1500))
    assert isinstance(top, tuple) and isinstance(bottom, tuple)
    assert top[0] > 200 > 100 > top[2] and bottom[2] > 200 > 100 > bottom[0]


@pytest.mark.parametrize(
    "kind, mode, expected",
    [
        ("PNG", "RGBA", "image/jpeg"),  # nothing of it is transparent
        ("PNG", "L", "image/jpeg"),
        ("PNG", "P", "image/jpeg"),
        ("JPEG", "CMYK", "image/jpeg"),
        ("WEBP", "RGB", "image/jpeg"),
    ],
)
def test_every_kind_is_kept_in_one_of_two(kind: str, mode: str, expected: str) -> None:
    kept = pictures.read_picture(encoded(kind, mode=mode))
    assert kept.content_type == expected and (kept.width, kept.height) == (64, 48)


def test_what_is_transparent_stays_so() -> None:
    out = io.BytesIO()
    Image.new("RGBA", (10, 10), (255, 0, 0, 0)).save(out, "PNG")
    kept = pictures.read_picture(out.getvalue())
    assert kept.content_type == "image/webp" and opened(kept.data).getpixel((5, 5))[3] == 0  # type: ignore[index]


@pytest.mark.parametrize(
    "data, message",
    [
        (b"", "is empty"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script/></svg>", "JPEG, PNG or WebP"),
        (encoded("GIF"), "JPEG, PNG or WebP"),
        (encoded("TIFF"), "JPEG, PNG or WebP"),
        (encoded()[:200], "JPEG, PNG or WebP"),
        (encoded("PNG", (9000, 9000)), "60 million pixels"),
        (encoded("PNG", (20_000, 20_000), "L"), "60 million pixels"),
        (b"\xff" * (pictures.MAX_UPLOAD_BYTES + 1), "larger than 15 MB"),
    ],
)
def test_what_is_no_picture_or_a_bomb_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(pictures.InvalidPicture, match=message):
        pictures.read_picture(data)


# --- the set


def make_image(olga: Visitor, session: Session, name: str = "Car park") -> LocationImage:
    answer = olga.send(f"{IMAGES}new/", {"name": name, "media": upload(encoded())})
    assert answer.status_code == 302, answer.get_data(as_text=True)
    session.expire_all()
    return session.scalars(select(LocationImage).where(LocationImage.name == name)).one()


def address_of(html: str) -> str:
    found = re.search(r'src="(/public/pictures/[^"?]+)', html)
    assert found, html
    return found[1]


def test_replacing_the_media_shows_at_all_locations_under_another_address(
    olga: Visitor, session: Session, clean: Flask
) -> None:
    image = make_image(olga, session)
    location = make_location(session, image_id=image.id)
    session.commit()
    page = f"/assets/locations/details/?id={location.id}"
    before = address_of(olga.get(page).get_data(as_text=True))
    stranger = visitor(clean)
    first = stranger.get(before)
    assert first.status_code == 200 and first.mimetype == "image/jpeg"
    assert first.cache_control.immutable and first.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in first.headers
    assert stranger.get(before, headers={"If-None-Match": first.headers["ETag"]}).status_code == 304
    small = stranger.get(before + "?size=small")
    assert small.status_code == 200 and stranger.get(before + "?size=huge").status_code == 404

    edit = f"{IMAGES}edit/?id={image.id}"
    sent = {"name": "Car park", "_version": str(image.version), "media": upload(encoded("PNG", (100, 50)))}
    olga.get(edit)
    assert olga.send(edit, sent).status_code == 302
    after = address_of(olga.get(page).get_data(as_text=True))
    assert after != before and stranger.get(before).status_code == 404
    assert opened(stranger.get(after).get_data()).size == (100, 50)
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 1
    change = session.scalars(select(AuditEntry).where(AuditEntry.event == "change")).one()
    assert change.before["media"] != change.after["media"]


def test_an_image_needs_a_picture_and_keeps_it_without_another(olga: Visitor, session: Session) -> None:
    olga.get(f"{IMAGES}new/")
    for sent in ({"name": "A"}, {"name": "A", "media": upload(b"", "")}, {"name": "A", "media": upload(b"x", "a.jpg")}):
        answer = olga.send(f"{IMAGES}new/", sent)
        assert answer.status_code == 422 and session.scalar(select(func.count()).select_from(LocationImage)) == 0
    assert "“a.jpg” is not a picture" in unescape(answer.get_data(as_text=True))
    image = make_image(olga, session)
    sent = {"name": "Entrance", "_version": str(image.version)}
    assert olga.send(f"{IMAGES}edit/?id={image.id}", sent).status_code == 302
    session.expire_all()
    assert image.name == "Entrance" and image.file.size_bytes > 0


def test_an_image_in_use_is_kept_and_its_locations_are_named(olga: Visitor, session: Session) -> None:
    image = make_image(olga, session)
    location = make_location(session, "Sofia Ring Mall", image_id=image.id)
    session.commit()
    html = olga.get(IMAGES).get_data(as_text=True)
    assert "size=small" in html
    olga.send(f"{IMAGES}delete/", {"id": str(image.id)})
    told = unescape(olga.get(IMAGES).get_data(as_text=True))
    assert "it is shown at “Sofia Ring Mall”" in told
    location.image_id = None
    session.commit()
    olga.send(f"{IMAGES}delete/", {"id": str(image.id)})
    for model in (LocationImage, StoredFile, StoredFilePiece):
        assert session.scalar(select(func.count()).select_from(model)) == 0


def test_only_pictures_are_served(session: Session, clean: Flask) -> None:
    """Firmware and diagnostics are in the same table; and a number alone opens nothing."""
    secret = store_file(
        session, name="log.jpg", content_type="image/jpeg", chunks=[b"secret"], max_bytes=99, now=utcnow()
    )
    session.commit()
    stranger = visitor(clean)
    for mark in (secret.sha256[:20], secret.sha256, "", "x", "%25" * 20, "_" * 20):
        assert stranger.get(f"/public/pictures/{secret.id}/{mark}").status_code in (404, 308)


# --- several of a location


def edit(olga: Visitor, location: Location, **changes: Any) -> Any:
    path = f"/assets/locations/edit/?id={location.id}"
    html = olga.get(path).get_data(as_text=True)
    version = re.search(r'name="_version" value="(\d+)"', html)
    assert version
    data = MultiDict({**fields(), "_version": version[1], "csrf_token": olga.token})
    for name, value in changes.items():
        for each in value if isinstance(value, list) else [value]:
            data.add(name.replace("__", "-"), each)
    return olga.post(path, data=data, content_type="multipart/form-data")


def names(session: Session, location: Location) -> list[str]:
    session.expire_all()
    return [photo.file.name for photo in location.photos]


def test_pictures_are_added_ordered_and_removed(olga: Visitor, session: Session) -> None:
    location = make_location(session)
    session.commit()
    three = [upload(encoded(), f"{letter}.png") for letter in "abc"]
    assert edit(olga, location, photos=three).status_code == 302
    assert names(session, location) == ["a.jpg", "b.jpg", "c.jpg"]
    a, b, c = (photo.id for photo in location.photos)
    version = location.version
    assert edit(olga, location, photos__order=[str(c), str(a), str(b)]).status_code == 302
    assert names(session, location) == ["c.jpg", "a.jpg", "b.jpg"] and location.version > version
    done = edit(
        olga,
        location,
        photos__order=[str(b), str(a), str(c)],
        photos__remove=[str(a)],
        photos=[upload(encoded("WEBP"), "d.webp")],
    )
    assert done.status_code == 302 and names(session, location) == ["b.jpg", "c.jpg", "d.jpg"]
    assert session.scalar(select(func.count()).select_from(StoredFile)) == 3
    page = olga.get(f"/assets/locations/details/?id={location.id}").get_data(as_text=True)
    assert page.count("/public/pictures/") == 6
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None and last.after["photos"] == ["b.jpg", "c.jpg", "d.jpg"]


def test_the_limit_and_a_bad_file_are_told_at_the_field_and_nothing_is_kept(olga: Visitor, session: Session) -> None:
    location = make_location(session)
    session.commit()
    many = [upload(encoded(), f"{number}.jpg") for number in range(pictures.MAX_PHOTOS + 1)]
    answer = edit(olga, location, photos=many)
    assert answer.status_code == 422 and "at most 12 images; this would be 13" in answer.get_data(as_text=True)
    answer = edit(olga, location, photos=[upload(encoded(), "good.jpg"), upload(b"%PDF-1.4", "plan.pdf")])
    assert answer.status_code == 422 and "“plan.pdf” is not a picture" in unescape(answer.get_data(as_text=True))
    assert names(session, location) == [] and session.scalar(select(func.count()).select_from(StoredFile)) == 0


def test_several_large_pictures_are_taken_at_once(olga: Visitor, session: Session) -> None:
    """Together they weigh more than other forms may."""
    location = make_location(session)
    session.commit()
    noise = Image.effect_noise((2600, 2600), 90)
    out = io.BytesIO()
    noise.save(out, "PNG")
    assert len(out.getvalue()) * 3 > 16 * 1024 * 1024
    assert edit(olga, location, photos=[upload(out.getvalue(), f"{n}.png") for n in range(3)]).status_code == 302
    assert len(names(session, location)) == 3


def test_somebody_elses_photo_is_not_removed_by_its_number(olga: Visitor, session: Session) -> None:
    mine, other = make_location(session), make_location(session, "Elsewhere")
    session.commit()
    assert edit(olga, other, photos=[upload(encoded(), "other.jpg")]).status_code == 302
    number = str(other.photos[0].id)
    assert edit(olga, mine, photos__remove=[number], photos__order=[number, "7", "x"]).status_code == 302
    assert names(session, other) == ["other.jpg"]


def test_a_location_goes_with_its_pictures(olga: Visitor, session: Session) -> None:
    location = make_location(session)
    session.commit()
    assert edit(olga, location, photos=[upload(encoded(), "a.jpg")]).status_code == 302
    olga.send("/assets/locations/delete/", {"id": str(location.id)})
    for model in (Location, StoredFile, StoredFilePiece):
        assert session.scalar(select(func.count()).select_from(model)) == 0


def test_a_location_chooses_its_image_from_the_set(olga: Visitor, session: Session) -> None:
    image = make_image(olga, session)
    location = make_location(session)
    session.commit()
    assert edit(olga, location, image_id=str(image.id)).status_code == 302
    session.expire_all()
    assert location.image_id == image.id
    last = session.scalars(select(AuditEntry).order_by(AuditEntry.id.desc())).first()
    assert last is not None and (last.before["image"], last.after["image"]) == (None, "Car park")
    answer = edit(olga, location, image_id="999999")
    assert answer.status_code == 422
