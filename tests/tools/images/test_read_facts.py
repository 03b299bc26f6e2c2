"""Facts of images: as metadata has them, in one form, and whether an image is within its time."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from archive import exif, picture, with_iptc, xmp

from limner.tools.images.facts import day, in_time, moment, tidy, unread
from limner.tools.images.images import metadata


def facts(file: Path) -> dict[str, list[str]]:
    return metadata(file.read_bytes()).facts


def test_facts_in_xmp_keep_their_items_apart(tmp_path: Path) -> None:
    about = 'photoshop:City="Lisbon" photoshop:Country="Portugal" photoshop:State="Lisboa" xmp:Rating="-1" '
    about += 'photoshop:DateCreated="2019-08-14T10:00:00" Iptc4xmpExt:Event="Harvest" '
    about += 'pur:embargoDate="2027-01-01T12:00:00+02:00" plus:LicenseEndDate="2028-06"'
    packet = xmp(about, dc_subject=["harvest", "Lisbon, old town"], Iptc4xmpExt_PersonInImage=["Lovelace, Ada"])
    file = picture(tmp_path / "a.jpg", (40, 30), 9, xmp=packet)
    assert facts(file) == {
        "tag": ["harvest", "Lisbon, old town"], "person": ["Lovelace, Ada"], "city": ["Lisbon"], "state": ["Lisboa"],
        "country": ["Portugal"], "event": ["Harvest"], "date": ["2019-08-14"], "rating": ["-1"],
        "embargo": ["2027-01-01T10:00:00Z"], "expires": ["2028-06"],
    }  # fmt: skip
    details = "harvest, Lisbon, old town; Lovelace, Ada; Lisbon; Lisboa; Portugal; Harvest; 2019-08-14"
    assert metadata(file.read_bytes()).details == details


def test_release_and_expiration_in_iptc(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.jpg", (40, 30), 9)
    with_iptc(file, (25, "a"), (25, "b"), (30, "20270101"), (35, "180000+0100"), (37, "20271231"), (92, "Quay"))
    assert facts(file) == {
        "tag": ["a", "b"], "place": ["Quay"], "embargo": ["2027-01-01T17:00:00Z"], "expires": ["2027-12-31"],
    }  # fmt: skip


def test_every_embargo_and_expiry_counts(tmp_path: Path) -> None:
    packet = xmp('plus:LicenseStartDate="2020-01-01" pur:embargoDate="2021" pur:expirationDate="2040"')
    file = picture(tmp_path / "a.jpg", (40, 30), 9, xmp=packet)
    with_iptc(file, (30, "20300101"), (37, "20350101"))
    read = facts(file)
    assert read == {"embargo": ["2020-01-01", "2021", "2030-01-01"], "expires": ["2035-01-01", "2040"]}
    for now, shown in (("2029-12-31", False), ("2030-01-01", True), ("2035-01-02", False)):
        assert in_time(read, datetime.fromisoformat(now).replace(tzinfo=UTC)) is shown


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("2023/06/01", "2023-06-01"),
        ("2023.06.01", "2023-06-01"),
        ("2023-6-1", "2023-06-01"),
        ("2023-6", "2023-06"),
        ("20230601", "2023-06-01"),
        ("2023:06:01 10:00:00", "2023-06-01"),
        ("2023-00-00", "2023"),
        ("2023", "2023"),
        ("0000:00:00", ""),
        ("soon", ""),
    ],
)
def test_days_are_kept_in_one_form(text: str, kept: str) -> None:
    assert day(text) == kept


def test_exif_gives_day_and_rating_and_no_place(tmp_path: Path) -> None:
    file = picture(tmp_path / "a.jpg", (40, 30), 9, exif=exif("2021:04:30 08:00:00", 4))
    assert facts(file) == {"date": ["2021-04-30"], "rating": ["4"]}
    assert "38" not in str(metadata(file.read_bytes()))


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("20261201", "2026-12-01"),
        ("2026:12:01 18:00:00+01:00", "2026-12-01T17:00:00Z"),
        ("2026-12-01 18:00", "2026-12-01T18:00:00Z"),
        ("20261201 183000", "2026-12-01T18:30:00Z"),
        ("2026-12", "2026-12"),
        ("2026", "2026"),
        ("00000000", ""),
        ("0000:00:00 00:00:00", ""),
        ("never", ""),
        ("after the match", "after the match"),
        ("2026-13-01", "2026-13-01"),
        ("01.12.2026", "01.12.2026"),
    ],
)
def test_moments_are_kept_in_one_form(text: str, kept: str) -> None:
    assert moment(text) == kept
    assert moment(kept) == kept


@pytest.mark.parametrize(
    ("embargo", "expires", "now", "shown"),
    [
        ("2026-12-01", "", "2026-11-30T23:59:59", False),
        ("2026-12-01", "", "2026-12-01T00:00:00", True),
        ("2026-12-01T17:00:00Z", "", "2026-12-01T16:59:59", False),
        ("2026-12-01T17:00:00Z", "", "2026-12-01T17:00:00", True),
        ("", "2026-12-01", "2026-12-01T23:59:59", True),
        ("", "2026-12-01", "2026-12-02T00:00:00", False),
        ("", "2026-12", "2026-12-31T23:59:59", True),
        ("", "2026", "2027-01-01T00:00:00", False),
        ("after the match", "", "2099-01-01T00:00:00", False),
        ("", "31.12.2099", "2026-01-01T00:00:00", False),
        ("", "", "2026-01-01T00:00:00", True),
        ("", "9999-12-31", "2026-01-01T00:00:00", True),
        ("", "9999-12", "2026-01-01T00:00:00", True),
        ("", "9999", "2026-01-01T00:00:00", True),
        ("", "9999-12-31T23:59:59Z", "2026-01-01T00:00:00", True),
        ("", "9999-12-31T23:59:59-08:00", "2026-01-01T00:00:00", True),
        ("9999-12-31", "", "2026-01-01T00:00:00", False),
    ],
)
def test_an_image_is_shown_within_its_time(embargo: str, expires: str, now: str, shown: bool) -> None:
    known = tidy({"embargo": [embargo], "expires": [expires]})
    assert in_time(known, datetime.fromisoformat(now).replace(tzinfo=UTC)) is shown


def test_what_cannot_be_a_fact_is_left_out() -> None:
    given = {"rating": ["many"], "date": ["yesterday"], "tag": ["", " a ", "a"], "gps": ["38"], "embargo": ["soon"]}
    assert tidy(given) == {"tag": ["a"], "embargo": ["soon"]}
    assert unread({"embargo": ["soon"], "expires": ["2027"]}) == ["embargo"]
    assert tidy({"rating": ["0"]}) == {}
    assert tidy({"rating": ["4.0"]}) == {"rating": ["4"]}
    assert tidy({"tag": ["harvest, wheat; barn"]}) == {"tag": ["harvest", "wheat", "barn"]}
