"""Reads the stored values of PNG, JPEG and TIFF pictures; ambiguous values are refused."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from slicewise.errors import LabelError, ScanError
from slicewise.imaging.content import with_actual_format

FORMATS = ("PNG", "JPEG", "TIFF")
_FORMAT_OF = {
    ".png": ("PNG",),
    ".jpg": ("JPEG",),
    ".jpeg": ("JPEG",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
}
MAXIMUM_PIXELS = 2**26
"""As for a DICOM slice; more is a decompression bomb, or a mistake."""

_GREY_MODES = ("1", "L", "I;16", "I;16B", "I", "F")
_COLOUR_MODES = ("LA", "RGB", "RGBA")
_ORIENTATION, _PHOTOMETRIC, _SAMPLE_FORMAT = 274, 262, 339
_WHITE_IS_ZERO, _SIGNED = 0, 2
_LOSSY = "lossy compression: grey values differ from the measured ones"


def stored_values(path: Path, *, as_labels: bool = False) -> tuple[NDArray[Any], tuple[str, ...]]:
    """Read the stored values of a picture.

    Colour with equal channels is grey. With a palette, the values of an image are those of the
    palette, and the labels of a mask are the indices into it. Pictures of 1, 2 and 4 bits have
    values from 0 to 1, 3 and 15.

    Args:
        path: PNG, JPEG or TIFF; the format is detected from the content.
        as_labels: whether the values are labels, which lossy compression changes.

    Returns:
        Values of shape (rows, columns), integers as stored or float32; and warnings.

    Raises:
        ScanError: colour, transparency, several pages, an orientation tag, damaged, or more than
            ``MAXIMUM_PIXELS``.
        LabelError: labels under lossy compression.
    """
    with _opened(path) as picture:
        sample_layout = _sample_layout(picture)
        _require_one_upright_page(path, picture)
        _require_plain_samples(path, picture)
        is_lossy = "JPEG" in (picture.format, str(picture.info.get("compression")).upper())
        if is_lossy and as_labels:
            raise LabelError(
                path,
                expected="labels in a lossless format",
                found="lossy JPEG compression",
                remedy="export the mask as PNG or TIFF",
            )
        values = _values(path, picture, sample_layout, as_labels=as_labels)
        notes = (_LOSSY,) if is_lossy else ()
        if picture.format not in _FORMAT_OF.get(path.suffix.lower(), FORMATS):
            name = f"a {picture.format} picture, although its name ends in {path.suffix}"
            notes = (*notes, name)
        return values, notes


def _values(
    path: Path, picture: Image.Image, sample_layout: str, *, as_labels: bool
) -> NDArray[Any]:
    if picture.mode == "P":
        if as_labels:
            return np.array(picture)
        picture = picture.convert("RGB")
    if picture.mode in _COLOUR_MODES:
        return _equal_channels(path, picture, sample_layout)
    return _greys(path, picture, sample_layout)


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open a picture after checking its size and, for PNG, its checksums."""
    try:
        with warnings.catch_warnings():
            # Pillow reads files that it warns of only partially.
            warnings.simplefilter("error", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path, formats=FORMATS) as picture:
                _require_size(path, picture)
                if picture.format == "PNG":
                    # Decoding does not check them.
                    picture.verify()
            with Image.open(path, formats=FORMATS) as picture:
                yield picture
    except ScanError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(path, f"more than {Image.MAX_IMAGE_PIXELS}") from None
    except UnidentifiedImageError:
        error = _damaged(path, "another format, or a damaged header")
        raise with_actual_format(error, path) from None
    except OSError as error:
        raise _damaged(path, error.strerror or str(error)) from None
    except Exception as error:  # Pillow raises many types for damaged and malicious files
        raise _damaged(path, str(error) or "bytes that are no picture") from None


def _require_size(path: Path, picture: Image.Image) -> None:
    columns, rows = picture.size
    if columns * rows > MAXIMUM_PIXELS:
        raise _too_large(path, f"{columns} x {rows}")


def _require_one_upright_page(path: Path, picture: Image.Image) -> None:
    if getattr(picture, "is_animated", False):
        raise ScanError(
            path,
            expected="one picture in a file",
            found="several pages or frames",
            remedy="save each page as a file, or the stack as NIfTI",
        )
    if picture.getexif().get(_ORIENTATION, 1) > 1:
        raise ScanError(
            f"{path}: Orientation",
            expected="an upright picture without orientation tag",
            found="a tag that rotates or flips the picture for display",
            remedy="save the picture upright, without this tag",
        )


def _require_plain_samples(path: Path, picture: Image.Image) -> None:
    """Refuse TIFF whose stored values Pillow misinterprets."""
    tags = getattr(picture, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise _not_grey(path, "TIFF in which 0 is white")
    if _SIGNED in tags.get(_SAMPLE_FORMAT, ()) and picture.mode != "I":
        raise _not_grey(path, "signed 8-bit TIFF")


def _sample_layout(picture: Image.Image) -> str:
    """Pillow's raw mode of the samples, such as ``L;4``; it is lost once they are decoded."""
    tiles = getattr(picture, "tile", [])
    arguments = tiles[0].args if tiles else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _greys(path: Path, picture: Image.Image, sample_layout: str) -> NDArray[Any]:
    if picture.mode not in _GREY_MODES:
        raise _not_grey(path, f"{picture.mode} pixels")
    values: NDArray[Any] = np.array(picture)
    if picture.mode == "1":
        return values.astype(np.uint8)
    if few_bits := re.match("L;([24])", sample_layout):
        # Pillow scales them to 0 to 255.
        values //= 255 // (2 ** int(few_bits[1]) - 1)
    if sample_layout == "I;32N":
        return values.view(np.uint32)
    return values.astype(values.dtype.newbyteorder("="), copy=False)


def _equal_channels(path: Path, picture: Image.Image, sample_layout: str) -> NDArray[Any]:
    if ";16" in sample_layout:
        raise _not_grey(path, "colour of 16 bits")
    channels = np.array(picture)  # (rows, columns, 2 to 4)
    if picture.mode in ("LA", "RGBA"):
        if (channels[..., -1] < 255).any():
            raise _not_grey(path, "transparent pixels")
        channels = channels[..., :-1]
    if (channels != channels[..., :1]).any():
        raise _not_grey(path, "colour")
    return np.ascontiguousarray(channels[..., 0])


def _not_grey(path: Path, found: str) -> ScanError:
    return ScanError(
        path,
        expected="8-bit, 16-bit or 32-bit floating-point grey values",
        found=found,
        remedy="export the picture in greyscale, without overlays or transparency",
    )


def _too_large(path: Path, found: str) -> ScanError:
    return ScanError(
        path,
        expected=f"at most {MAXIMUM_PIXELS} pixels",
        found=found,
        remedy="crop the picture, or export it again if its header is wrong",
    )


def _damaged(path: Path, found: str) -> ScanError:
    return ScanError(
        path,
        expected="an intact PNG, JPEG or TIFF file",
        found=found,
        remedy="copy or export the file again",
    )
