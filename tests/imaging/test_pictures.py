"""Pictures keep their values and their rows; what would change or guess them is refused."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin

from slicewise.config import ReadingSection
from slicewise.errors import GeometryError, LabelError, OutputError, ScanError
from slicewise.imaging import pictures
from slicewise.imaging.pictures import (
    is_picture,
    mask_suffix,
    picture_affine,
    read_picture,
    read_picture_mask,
    write_picture_mask,
)
from slicewise.imaging.volume import Volume

# Three rows of five columns; no value comes twice, no symmetry hides a flip.
VALUES = np.array([[0, 10, 20, 30, 40], [51, 61, 71, 81, 91], [102, 112, 122, 132, 255]])
GREY, PALETTE, COLOUR = 0, 3, 2


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(
    path: Path, size: tuple[int, int], bits: int, colour: int, rows: list[bytes], *more: bytes
) -> Path:
    """A PNG by hand: rows of packed samples, other chunks before them."""
    header = struct.pack(">IIBBBBB", *size, bits, colour, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    chunks = [chunk(b"IHDR", header), *more, chunk(b"IDAT", pixels), chunk(b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    return path


def tiff(path: Path, values: NDArray[Any]) -> Path:
    """A TIFF by hand, in the byte order of the values."""
    order = ">" if values.dtype.byteorder == ">" else "<"
    pixels = values.tobytes()
    tags = [
        (256, 4, values.shape[1]),
        (257, 4, values.shape[0]),
        (258, 3, 8 * values.itemsize),
        (259, 3, 1),  # no compression
        (262, 3, 1),  # 0 is black
        (273, 4, 8),  # where the pixels are
        (278, 4, values.shape[0]),  # rows a strip
        (279, 4, len(pixels)),
        (339, 3, {"u": 1, "i": 2, "f": 3}[values.dtype.kind]),
    ]
    fields = b""
    for tag, kind, value in tags:
        packed = struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", value)
        fields += struct.pack(f"{order}HHI", tag, kind, 1) + packed
    directory = struct.pack(f"{order}H", len(tags)) + fields + bytes(4)
    start = (b"MM" if order == ">" else b"II") + struct.pack(f"{order}HI", 42, 8 + len(pixels))
    path.write_bytes(start + pixels + directory)
    return path


def saved(path: Path, values: NDArray[Any], **options: Any) -> Path:
    Image.fromarray(values).save(path, **options)
    return path


def rows_of(volume: Volume) -> list[list[float]]:
    """The voxels as rows from top to bottom."""
    columns, rows, depth = volume.shape
    assert depth == 1
    return [[volume.voxels[i, j, 0].item() for i in range(columns)] for j in range(rows)]


# Values and geometry


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("a.tif", np.uint8),
        ("a.TIFF", np.uint16),
        ("a.tif", np.int32),
        ("a.tif", np.float32),
    ],
)
def test_values_are_those_that_are_stored(tmp_path: Path, name: str, kind: Any) -> None:
    values = (VALUES * (257 if np.dtype(kind).itemsize > 1 else 1)).astype(kind)
    volume = read_picture(saved(tmp_path / name, values))
    assert rows_of(volume) == values.tolist()
    assert volume.voxels.dtype == kind
    assert volume.name == "a"
    assert volume.header is None


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
def test_lossless_tiff(tmp_path: Path, compression: str) -> None:
    path = saved(tmp_path / "a.tif", VALUES.astype(np.uint16), compression=compression)
    assert rows_of(read_picture(path)) == VALUES.tolist()


# Pillow does not know >u4, which is refused.
@pytest.mark.parametrize(
    "kind", ["u1", "<u2", ">u2", "<i2", ">i2", "<u4", "<i4", ">i4", "<f4", ">f4"]
)
def test_types_and_byte_orders_of_tiff(tmp_path: Path, kind: str) -> None:
    values = VALUES.astype(kind)
    if values.dtype.kind != "f":
        limits = np.iinfo(kind)
        values[0, :2] = limits.min, limits.max
    volume = read_picture(tiff(tmp_path / "a.tif", values))
    assert rows_of(volume) == values.tolist()
    assert volume.voxels.dtype.isnative


@pytest.mark.fault(140, "OK")
def test_columns_run_to_the_left_and_rows_to_the_back(tmp_path: Path) -> None:
    volume = read_picture(saved(tmp_path / "a.png", VALUES.astype(np.uint8), dpi=(72, 30)))
    assert volume.shape == (5, 3, 1)
    # The value 81 stands in column 3 of row 1: 3 mm to the left (R is positive), 1 mm back.
    assert volume.voxels[3, 1, 0] == 81
    assert volume.world_position_mm(np.array([3, 1, 0])).tolist() == [-3, -1, 0]
    assert volume.orientation == "LPS"
    assert volume.spacing_mm == (1, 1, 1)
    assert any("no geometry" in text for text in volume.warnings)
    assert not volume.spacing_is_known
    assert not volume.reoriented("RAS").with_voxels(volume.voxels[::-1]).spacing_is_known


@pytest.mark.parametrize(
    ("bits", "packed", "expected"),
    [
        (1, bytes([0b01101000]), [0, 1, 1, 0, 1]),
        (2, bytes([0b00011011, 0b10000000]), [0, 1, 2, 3, 2]),
        (4, bytes([0x01, 0x7E, 0xF0]), [0, 1, 7, 14, 15]),
    ],
)
def test_few_bits_are_not_spread(
    tmp_path: Path, bits: int, packed: bytes, expected: list[int]
) -> None:
    path = png(tmp_path / "a.png", (5, 1), bits, GREY, [packed])
    assert rows_of(read_picture(path)) == [expected]
    assert rows_of(read_picture_mask(path)) == [expected]
    indexed = png(
        tmp_path / "b.png", (5, 1), bits, PALETTE, [packed], chunk(b"PLTE", bytes(range(48)))
    )
    assert rows_of(read_picture_mask(indexed)) == [expected]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_colour_of_equal_channels_is_grey(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    Image.fromarray(VALUES.astype(np.uint8)).convert(mode).save(path)
    assert rows_of(read_picture(path)) == VALUES.tolist()
    assert rows_of(read_picture_mask(path)) == VALUES.tolist()


def paletted(path: Path, palette: list[tuple[int, int, int]], indices: NDArray[Any]) -> Path:
    picture = Image.frombytes("P", indices.shape[::-1], indices.astype(np.uint8).tobytes())
    picture.putpalette([value for colour in palette for value in colour])
    picture.save(path)
    return path


INDICES = np.array([[0, 1, 2], [2, 2, 1]])


def test_grey_palette_is_a_table_of_grey_values(tmp_path: Path) -> None:
    path = paletted(tmp_path / "a.png", [(7, 7, 7), (250, 250, 250), (90, 90, 90)], INDICES)
    assert rows_of(read_picture(path)) == [[7, 250, 90], [90, 90, 250]]


def test_indices_into_a_palette_are_labels(tmp_path: Path) -> None:
    path = paletted(tmp_path / "a.png", [(0, 0, 0), (255, 0, 0), (0, 255, 0)], INDICES)
    assert rows_of(read_picture_mask(path)) == INDICES.tolist()
    with pytest.raises(ScanError, match=r"found: +colour"):
        read_picture(path)


@pytest.mark.fault(33, "W")
def test_jpeg_is_a_lossy_image_and_no_mask(tmp_path: Path) -> None:
    flat = np.full((8, 16), 90, np.uint8)
    path = saved(tmp_path / "a.jpg", flat)
    volume = read_picture(path)
    assert (volume.voxels == 90).all()
    assert any("lossy" in text for text in volume.warnings)
    with pytest.raises(LabelError, match="lossy JPEG compression") as caught:
        read_picture_mask(path)
    assert caught.value.where == str(path)
    assert "PNG or TIFF" in caught.value.remedy
    inside = saved(tmp_path / "a.tif", flat, compression="jpeg")
    assert any("lossy" in text for text in read_picture(inside).warnings)
    with pytest.raises(LabelError, match="JPEG"):
        read_picture_mask(inside)


@pytest.mark.fault(39, "Q")
@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_pixels_that_are_no_numbers(tmp_path: Path, broken: float) -> None:
    values = VALUES.astype(np.float32)
    values[1, 3] = broken
    path = saved(tmp_path / "a.tif", values)
    with pytest.raises(ScanError, match="1 NaN or infinite pixels") as caught:
        read_picture(path)
    assert "reading.non_finite" in caught.value.remedy
    filled = read_picture(path, ReadingSection(non_finite="zero"))
    expected = VALUES.copy()
    expected[1, 3] = 0
    assert rows_of(filled) == expected.tolist()
    assert filled.voxels.dtype == np.float32
    assert "1 NaN or infinite pixels were replaced by 0" in filled.warnings


# What is no grey picture


def a_colour(path: Path) -> Path:
    colours = np.zeros((3, 5, 3), np.uint8)
    colours[2, 4] = (9, 9, 8)
    return saved(path, colours)


def some_transparency(path: Path) -> Path:
    picture = Image.fromarray(VALUES.astype(np.uint8)).convert("LA")
    picture.putpixel((4, 2), (255, 254))
    picture.save(path)
    return path


def deep_colour(path: Path) -> Path:
    return png(path, (2, 1), 16, COLOUR, [bytes(12)])


def white_is_zero(path: Path) -> Path:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[262] = 0
    return saved(path.with_suffix(".tif"), VALUES.astype(np.uint8), tiffinfo=tags)


def signed_bytes(path: Path) -> Path:
    return tiff(path.with_suffix(".tif"), VALUES.clip(0, 127).astype(np.int8))


def four_inks(path: Path) -> Path:
    path = path.with_suffix(".jpg")
    Image.new("CMYK", (4, 4)).save(path)
    return path


@pytest.mark.fault(36, "Q")
@pytest.mark.parametrize(
    ("make", "found"),
    [
        (a_colour, "colour"),
        (some_transparency, "transparent pixels"),
        (deep_colour, "colour of 16 bits"),
        (white_is_zero, "TIFF in which 0 is white"),
        (signed_bytes, "signed 8-bit TIFF"),
        (four_inks, "CMYK pixels"),
    ],
)
def test_what_is_not_grey_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], found: str
) -> None:
    path = make(tmp_path / "a.png")
    with pytest.raises(ScanError, match="grey values") as caught:
        read_picture(path)
    assert caught.value.found == found
    assert caught.value.where == str(path)
    assert caught.value.remedy


@pytest.mark.parametrize("name", ["a.tif", "a.png"])
def test_several_pages_are_refused(tmp_path: Path, name: str) -> None:
    pages = [Image.fromarray((VALUES // n).astype(np.uint8)) for n in (1, 2)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(ScanError, match="one picture in a file") as caught:
        read_picture(tmp_path / name)
    assert caught.value.found == "several pages or frames"


@pytest.mark.parametrize("name", ["a.tif", "a.png", "a.jpg"])
@pytest.mark.parametrize("turn", [1, 3, 6])
def test_a_picture_that_is_turned_for_display_is_refused(
    tmp_path: Path, name: str, turn: int
) -> None:
    exif = Image.Exif()
    exif[274] = turn
    Image.fromarray(np.full((8, 16), 90, np.uint8)).save(tmp_path / name, exif=exif)
    if turn == 1:
        assert read_picture(tmp_path / name).shape == (16, 8, 1)
        return
    with pytest.raises(ScanError, match="rotates or flips the picture") as caught:
        read_picture(tmp_path / name)
    assert caught.value.where.endswith("Orientation")


# Damage


def damaged(path: Path, content: bytes) -> ScanError:
    path.write_bytes(content)
    with pytest.raises(ScanError) as caught:
        read_picture(path)
    assert caught.value.where == str(path)
    assert str(path) not in caught.value.reason
    return caught.value


@pytest.mark.fault(57, "Q")
def test_every_flipped_byte_of_a_png_is_noticed(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.png", VALUES.astype(np.uint8)).read_bytes()
    # Behind the pixels stands nothing but the mark of the end.
    for place in range(len(whole) - 12):
        flipped = bytearray(whole)
        flipped[place] ^= 0x10
        damaged(tmp_path / "a.png", bytes(flipped))


@pytest.mark.fault(56, "Q")
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "packed.tif"])
def test_a_truncated_picture_is_noticed(tmp_path: Path, name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    options = {"compression": "tiff_lzw"} if name.startswith("packed") else {}
    whole = saved(tmp_path / name, noise, **options).read_bytes()
    for share in (0.0, 0.01, 0.3, 0.9):
        error = damaged(tmp_path / name, whole[: int(share * len(whole))])
        assert error.expected == "an intact PNG, JPEG or TIFF file"


def test_another_format_under_the_name_of_a_picture(tmp_path: Path) -> None:
    damaged(tmp_path / "a.png", b"plain text")
    saved(tmp_path / "a.gif", VALUES.astype(np.uint8))
    damaged(tmp_path / "a.png", (tmp_path / "a.gif").read_bytes())


def test_content_decides_among_the_formats(tmp_path: Path) -> None:
    saved(tmp_path / "a.tif", VALUES.astype(np.uint8)).rename(tmp_path / "a.png")
    assert rows_of(read_picture(tmp_path / "a.png")) == VALUES.tolist()


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ScanError, match="No such file"):
        read_picture(tmp_path / "a.png")


@pytest.mark.fault(59, "Q")
@pytest.mark.parametrize(
    "size", [(8193, 8192), (12000, 12000), (20000, 20000), (2**31 - 1, 2**31 - 1), (0, 5)]
)
def test_absurd_sizes_are_refused_before_a_pixel_is_decoded(
    tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = png(tmp_path / "a.png", size, 8, GREY, [b"\0"])
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))
    with pytest.raises(ScanError) as caught:
        read_picture(path)
    if size != (0, 5):
        assert caught.value.expected == f"at most {2**26} pixels"


def test_the_largest_size_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("slicewise.imaging.picture_pixels.MAXIMUM_PIXELS", 15)
    assert read_picture(saved(tmp_path / "a.png", VALUES.astype(np.uint8))).shape == (5, 3, 1)
    with pytest.raises(ScanError, match="at most 15 pixels") as caught:
        read_picture(saved(tmp_path / "b.png", np.zeros((4, 4), np.uint8)))
    assert caught.value.found == "4 x 4"


def test_names_of_pictures() -> None:
    names = ["a.png", "a.JPG", "a.jpeg", "a.tif", "a.Tiff", "a.bmp", "a.gif", "._a.png", "a.nii"]
    assert [name for name in names if is_picture(Path(name))] == names[:5]


# Masks


def a_mask(values: NDArray[Any]) -> Volume:
    """Rows of labels as the mask of a picture."""
    return Volume(values.T[:, :, None], picture_affine())


@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
@pytest.mark.parametrize("largest", [1, 255, 256, 65535])
def test_a_mask_is_a_picture_of_the_same_size_with_the_same_values(
    tmp_path: Path, suffix: str, largest: int
) -> None:
    values = np.where(VALUES > 80, largest, 0).astype(np.int64)
    path = tmp_path / f"a{suffix}"
    write_picture_mask(a_mask(values), path)
    with Image.open(path) as picture:
        assert picture.size == (5, 3)
        assert picture.mode == ("L" if largest < 256 else "I;16")
        assert np.asarray(picture).tolist() == values.tolist()
    assert rows_of(read_picture_mask(path)) == values.tolist()
    # No temporary file is left.
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=40, deadline=None)
@given(
    values=arrays(
        np.uint16,
        array_shapes(min_dims=2, max_dims=2, max_side=9),
        elements=st.integers(0, 65535),
    ),
    suffix=st.sampled_from([".png", ".tif"]),
)
def test_any_mask_comes_back(
    tmp_path_factory: pytest.TempPathFactory, values: NDArray[np.uint16], suffix: str
) -> None:
    path = tmp_path_factory.mktemp("masks") / f"a{suffix}"
    write_picture_mask(a_mask(values), path)
    assert rows_of(read_picture_mask(path)) == values.tolist()


def test_a_mask_of_labels_that_fit_no_picture(tmp_path: Path) -> None:
    for values in ([[0, 65536]], [[-1, 0]]):
        with pytest.raises(LabelError, match="labels from 0 to 65535"):
            write_picture_mask(a_mask(np.array(values)), tmp_path / "a.png")
    with pytest.raises(LabelError, match="whole numbers"):
        write_picture_mask(a_mask(np.array([[0.5, 1]])), tmp_path / "a.png")
    assert list(tmp_path.iterdir()) == []


def test_a_mask_with_a_geometry_is_no_picture(tmp_path: Path) -> None:
    thick = Volume(np.zeros((5, 3, 2), np.uint8), picture_affine())
    elsewhere = Volume(np.zeros((5, 3, 1), np.uint8), np.eye(4))
    for mask in (thick, elsewhere):
        with pytest.raises(GeometryError, match="the mask of a picture"):
            write_picture_mask(mask, tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.jpg", "a.bmp", "a"])
def test_a_mask_in_a_format_that_may_change_it(tmp_path: Path, name: str) -> None:
    with pytest.raises(OutputError, match="JPEG would change the labels"):
        write_picture_mask(a_mask(np.zeros((2, 2), np.uint8)), tmp_path / name)


def test_a_mask_that_reads_back_otherwise_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"the old one")
    inner = pictures.stored_values

    def spoilt(path: Path, *, as_labels: bool) -> tuple[NDArray[Any], tuple[str, ...]]:
        values, notes = inner(path, as_labels=as_labels)
        return values + 1, notes

    monkeypatch.setattr(pictures, "stored_values", spoilt)
    with pytest.raises(OutputError, match="read back"):
        write_picture_mask(a_mask(np.zeros((2, 2), np.uint8)), path)
    assert [item.name for item in tmp_path.iterdir()] == ["a.png"]
    assert path.read_bytes() == b"the old one"


@pytest.mark.parametrize(
    ("source", "suffix"),
    [("a.png", ".png"), ("a.JPG", ".png"), ("a.jpeg", ".png"), ("a.TIF", ".tif")],
)
def test_suffix_of_a_mask(source: str, suffix: str) -> None:
    assert mask_suffix(Path(source)) == suffix
