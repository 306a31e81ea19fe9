"""The viewer in a browser: places, sides, colours and controls are those of the scan."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from numpy.typing import NDArray

from slicewise.imaging.pictures import NO_GEOMETRY
from slicewise.imaging.structures import Structure
from slicewise.imaging.volume import Volume
from slicewise.reporting.viewer.page import ViewedMask, ViewedScan, viewer_parts, write_viewer_page

pytestmark = pytest.mark.slow

OpenPage = Callable[..., Any]
EVIL = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
ROOT = "document.querySelector('.slicewise-viewer')"
VIEWER = f"{ROOT}.slicewiseViewer"
GREEN, MAGENTA = (0, 255, 0), (255, 0, 255)
LESION = Structure("left lesion", 4, "#00ff00")
BLOCK = Structure(EVIL, 9, "#ff00ff")
# To the patient's left, in front and above of the middle of the scan.
LESION_MM = np.array([-21.0, 27.0, 38.0])
LESION_RADIUS_MM = 7.0


def oblique_affine() -> NDArray[np.float64]:
    """Axes stored backwards, upwards and to the left, tilted, with three spacings."""
    turn, tilt = np.radians(17), np.radians(-9)
    about_z = np.array(
        [[np.cos(turn), -np.sin(turn), 0], [np.sin(turn), np.cos(turn), 0], [0, 0, 1]]
    )
    about_x = np.array(
        [[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]]
    )
    stored = np.array([[0, 0, -1], [-1, 0, 0], [0, 1, 0]])
    affine = np.eye(4)
    affine[:3, :3] = about_z @ about_x @ stored @ np.diag([1.5, 3.1, 2.0])
    affine[:3, 3] = np.array([3.0, 11.0, 19.0]) - affine[:3, :3] @ [25, 8, 17]
    return affine


def places_mm(volume: Volume) -> NDArray[np.float64]:
    """World position of each voxel, told by nibabel, shape (X, Y, Z, 3)."""
    index = np.stack(np.indices(volume.shape), axis=-1)
    return np.asarray(nib.affines.apply_affine(volume.affine, index))


def phantom() -> Volume:
    """A scan whose every voxel is known by its value."""
    shape = (52, 18, 36)
    values = np.random.default_rng(3).permutation(np.prod(shape)).reshape(shape)
    return Volume(values.astype(np.float32) / 8, oblique_affine(), "phantom")


def lesion_of(scan: Volume) -> Volume:
    labels = np.zeros(scan.shape, dtype=np.int16)
    labels[np.linalg.norm(places_mm(scan) - LESION_MM, axis=-1) < LESION_RADIUS_MM] = 4
    return scan.with_voxels(labels)


def block_of(scan: Volume) -> Volume:
    labels = np.zeros(scan.shape, dtype=np.int16)
    labels[30:44, 2:8, 2:9] = 9
    return scan.with_voxels(labels)


@pytest.fixture(scope="module")
def scan() -> Volume:
    return phantom()


@pytest.fixture(scope="module")
def path(scan: Volume, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a phantom with two masks, and of a picture without."""
    path = tmp_path_factory.mktemp("viewer") / "view.html"
    masks = (
        ViewedMask("prediction", lesion_of(scan), (LESION,)),
        ViewedMask(EVIL, block_of(scan), (BLOCK,)),
    )
    picture = Volume(
        np.arange(40 * 30, dtype=np.uint16).reshape(40, 30, 1), np.diag([-1.0, -1, 1, 1])
    )
    viewed = [ViewedScan("phantom", scan, masks, EVIL), ViewedScan(EVIL, picture)]
    write_viewer_page(viewed, path, EVIL)
    return path


def ready(page: Any) -> Any:
    page.wait(f"['ready', 'failed'].includes({ROOT}.dataset.state)")
    assert page.run(f"return {ROOT}.dataset.state") == "ready", message_of(page)
    return page


def message_of(page: Any) -> str:
    return str(page.find("[data-part=message]").text)


def location(page: Any) -> dict[str, Any]:
    found: dict[str, Any] = page.run(f"return {VIEWER}.location()")
    return found


def put(page: Any, selector: str, value: object, event: str = "input") -> None:
    """Set a control as a user would who drags or types."""
    page.run(
        "const [selector, value, event] = arguments;"
        "const control = document.querySelector(selector); control.value = value;"
        "control.dispatchEvent(new Event(event, { bubbles: true }))",
        selector,
        value,
        event,
    )


def show(page: Any, plane: str) -> None:
    put(page, "[data-part=view]", plane, "change")


def choose_second(page: Any) -> None:
    """Go on to the second scan of the page."""
    page.run(
        "const chooser = document.querySelector('[data-part=scan]'); chooser.selectedIndex = 1;"
        "chooser.dispatchEvent(new Event('change'))"
    )
    ready(page)


def coloured(page: Any, colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Pixels of the stage that have a colour, shape (H, W)."""
    near: NDArray[np.bool_] = (
        np.abs(page.picture(".stage").astype(int) - np.array(colour)).max(axis=-1) < 12
    )
    return near


def middle(pixels: NDArray[np.bool_]) -> tuple[float, float]:
    """Mean column and row, as parts of the width and height."""
    rows, columns = np.nonzero(pixels)
    assert len(rows) > 20
    return float(columns.mean() / pixels.shape[1]), float(rows.mean() / pixels.shape[0])


def test_it_opens_from_disk_without_errors_or_requests(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    assert page.requests() == []
    assert page.errors() == []
    assert message_of(page) == ""


def test_the_label_at_a_known_place_is_under_the_crosshair(
    open_page: OpenPage, path: Path, scan: Volume
) -> None:
    page = ready(open_page(path))
    assert page.run(f"return {VIEWER}.moveTo(arguments[0])", LESION_MM.tolist()) is True
    found = location(page)
    assert found["labels"] == ["left lesion", None]
    index = np.rint(nib.affines.apply_affine(np.linalg.inv(scan.affine), LESION_MM)).astype(int)
    assert found["voxel"] == index.tolist()
    np.testing.assert_allclose(
        found["world"], nib.affines.apply_affine(scan.affine, index), atol=1e-6
    )
    # Within half a voxel along each axis of the grid.
    assert (np.abs(np.linalg.inv(scan.affine[:3, :3]) @ (found["world"] - LESION_MM)) <= 0.5).all()
    assert found["intensity"] == scan.voxels[tuple(index)]
    assert page.find("[data-part=voxel]").text == ", ".join(map(str, index))
    assert page.find("[data-part=labels]").text.startswith("prediction: left lesion; ")


def test_every_corner_and_random_voxels(open_page: OpenPage, path: Path, scan: Volume) -> None:
    page = ready(open_page(path))
    ends = [(0, size - 1) for size in scan.shape]
    indices = np.array(np.meshgrid(*ends)).reshape(3, -1).T
    inner = np.random.default_rng(5).integers(0, scan.shape, size=(20, 3))
    for index in np.concatenate([indices, inner]):
        world = nib.affines.apply_affine(scan.affine, index)
        assert page.run(f"return {VIEWER}.moveTo(arguments[0])", world.tolist())
        found = location(page)
        assert found["voxel"] == index.tolist()
        assert found["intensity"] == scan.voxels[tuple(index)]


@pytest.mark.parametrize(
    ("plane", "side", "is_high"),
    [("axial", 1, True), ("coronal", 1, True), ("sagittal", -1, True)],
)
def test_what_lies_left_in_front_and_above_is_drawn_there(
    open_page: OpenPage, path: Path, plane: str, side: int, is_high: bool
) -> None:
    page = ready(open_page(path))
    page.run(f"{VIEWER}.moveTo(arguments[0])", LESION_MM.tolist())
    put(page, "[data-part=opacity]", 1)
    show(page, plane)
    across, down = middle(coloured(page, GREEN))
    # The patient's left is on the right of the screen; sagittal planes look to the left.
    assert (across > 0.5) == (side > 0)
    assert (down < 0.5) == is_high
    letters = page.run(
        "return Object.fromEntries([...document.querySelectorAll('.letters span')]"
        ".map((one) => [one.className, one.textContent]))"
    )
    expected = {
        "axial": {"left": "R", "right": "L", "top": "A", "bottom": "P"},
        "coronal": {"left": "R", "right": "L", "top": "S", "bottom": "I"},
        "sagittal": {"left": "A", "right": "P", "top": "S", "bottom": "I"},
    }
    assert letters == expected[plane]


def test_the_drawn_label_has_the_size_of_the_lesion(open_page: OpenPage, path: Path) -> None:
    """Anisotropic voxels are drawn in proportion: the ball is round."""
    page = ready(open_page(path))
    page.run(f"{VIEWER}.moveTo(arguments[0])", LESION_MM.tolist())
    put(page, "[data-part=opacity]", 1)
    show(page, "coronal")
    rows, columns = np.nonzero(coloured(page, GREEN))
    wide, high = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert wide / high == pytest.approx(1, abs=0.3)


def test_a_click_moves_the_crosshair(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    page.run(f"{VIEWER}.moveTo(arguments[0])", LESION_MM.tolist())
    put(page, "[data-part=opacity]", 1)
    show(page, "axial")
    across, down = middle(coloured(page, GREEN))
    # Elsewhere in the same slice, then back by a click.
    page.find("canvas").send_keys("\ue014" * 12)
    assert location(page)["labels"][0] is None
    click(page, across, down)
    assert location(page)["labels"][0] == "left lesion"


def click(page: Any, across: float, down: float) -> None:
    from selenium.webdriver import ActionChains

    canvas = page.find("canvas")
    size = canvas.size
    ActionChains(page.driver).move_to_element_with_offset(
        canvas, int((across - 0.5) * size["width"]), int((down - 0.5) * size["height"])
    ).click().perform()
    page.settle()


def test_keys_step_by_a_voxel(open_page: OpenPage, path: Path, scan: Volume) -> None:
    page = ready(open_page(path))
    before = np.array(location(page)["world"])
    # Arrow to the left of the screen: to the patient's right; page up: upwards.
    for key, place, spacing_mm in (("\ue012", 0, 2.0), ("\ue013", 1, 1.5), ("\ue00e", 2, 3.1)):
        page.find("canvas").send_keys(key)
        after = np.array(location(page)["world"])
        step = after - before
        assert np.linalg.norm(step) == pytest.approx(spacing_mm)
        assert step[place] > 0.9 * spacing_mm
        before = after
    page.find("canvas").send_keys("\ue00f" * (scan.shape[1] + 3))
    assert page.find("[data-plane=axial]").get_attribute("value") == "1"


def test_wheel_and_sliders_change_the_picture(open_page: OpenPage, path: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    page = ready(open_page(path))
    show(page, "axial")
    first = page.picture(".stage")
    before = location(page)["world"]
    origin = ScrollOrigin.from_element(page.find("canvas"))
    ActionChains(page.driver).scroll_from_origin(origin, 0, 120).perform()
    page.settle()
    assert location(page)["world"] != before
    second = page.picture(".stage")
    assert (first != second).any()
    page.find("[data-plane=axial]").send_keys("\ue014" * 2)
    assert (page.picture(".stage") != second).any()
    assert page.errors() == []


def test_window_opacity_outline_and_hiding(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    page.run(f"{VIEWER}.moveTo(arguments[0])", LESION_MM.tolist())
    show(page, "axial")
    dim = page.picture(".stage")
    put(page, "input[type=number][data-part=level]", 100)
    put(page, "input[type=number][data-part=width]", 50)
    assert page.picture(".stage").mean() > dim.mean() + 20
    page.find("[data-part=reset]").click()
    np.testing.assert_array_equal(page.picture(".stage"), dim)

    assert not coloured(page, GREEN).any()
    put(page, "[data-part=opacity]", 1)
    filled = np.count_nonzero(coloured(page, GREEN))
    put(page, "[data-part=mask] select", "outline", "change")
    lines = coloured(page, GREEN)
    assert 20 < np.count_nonzero(lines) < filled / 3
    put(page, "[data-part=mask] select", "hidden", "change")
    assert not coloured(page, GREEN).any()
    put(page, "[data-part=mask] select", "fill", "change")
    assert np.count_nonzero(coloured(page, GREEN)) == filled
    page.find("[data-part=mask] input").click()
    assert not coloured(page, GREEN).any()


def test_the_second_mask_is_a_dashed_line(open_page: OpenPage, path: Path, scan: Volume) -> None:
    page = ready(open_page(path))
    index = np.array([37, 5, 5])
    page.run(f"{VIEWER}.moveTo(arguments[0])", places_mm(scan)[tuple(index)].tolist())
    assert location(page)["labels"] == [None, EVIL]
    # Coronal planes lie across the stored first axis; the block has 7 x 6 voxels of 2 x 3.1 mm.
    show(page, "coronal")
    page.find("[data-part=crosshair]").click()
    dashed = coloured(page, MAGENTA)
    put(page, "[data-part=mask]:nth-child(2) select", "fill", "change")
    put(page, "[data-part=opacity]", 1)
    filled = coloured(page, MAGENTA)
    assert (filled | ~dashed).all()
    rows, columns = np.nonzero(filled)
    wide, high = np.ptp(columns) + 1, np.ptp(rows) + 1
    assert np.count_nonzero(filled) == wide * high
    assert wide / high == pytest.approx(7 * 2.0 / (6 * 3.1), rel=0.02)
    # Two pixels of the border, less its gaps.
    assert 0.4 < np.count_nonzero(dashed) / (4 * (wide + high)) < 0.8


def test_a_drag_with_the_right_button_changes_the_window(open_page: OpenPage, path: Path) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.action_builder import ActionBuilder
    from selenium.webdriver.common.actions.mouse_button import MouseButton

    page = ready(open_page(path))
    show(page, "axial")
    level = page.find("input[type=number][data-part=level]")
    before, place, picture = level.get_attribute("value"), location(page), page.picture(".stage")
    ActionChains(page.driver).move_to_element(page.find("canvas")).perform()
    mouse = ActionBuilder(page.driver)
    mouse.pointer_action.pointer_down(button=MouseButton.RIGHT)
    for _ in range(4):
        mouse.pointer_action.move_by(0, 15)
    mouse.pointer_action.pointer_up(button=MouseButton.RIGHT)
    mouse.perform()
    assert level.get_attribute("value") != before
    assert location(page) == place
    assert (page.picture(".stage") != picture).any()


def test_smooth_and_crosshair_can_be_switched_off(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    show(page, "axial")
    page.find("[data-part=crosshair]").click()
    smooth = page.picture(".stage")
    # Noise, blended between voxels: many more greys than without.
    page.find("[data-part=smooth]").click()
    blocks = page.picture(".stage")

    def flat(picture: NDArray[np.uint8]) -> float:
        return float((np.diff(picture[..., 0].astype(int), axis=1) == 0).mean())

    assert flat(blocks) > flat(smooth) + 0.2
    page.find("[data-part=crosshair]").click()
    assert (page.picture(".stage") != blocks).any()


def test_masks_are_listed_with_their_volumes(open_page: OpenPage, path: Path, scan: Volume) -> None:
    page = ready(open_page(path))
    items = [item.text for item in page.driver.find_elements("css selector", ".mask li")]
    voxel_ml = 1.5 * 3.1 * 2.0 / 1000
    lesion_ml = np.count_nonzero(lesion_of(scan).voxels) * voxel_ml
    assert items[0].split("\n") == ["left lesion", f"{lesion_ml:.3g} ml"]
    assert items[1].split("\n") == [EVIL, f"{14 * 6 * 7 * voxel_ml:.3g} ml"]


def test_it_starts_inside_of_the_first_mask(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    assert location(page)["labels"][0] == "left lesion"
    assert np.linalg.norm(location(page)["world"] - LESION_MM) < 4


def test_a_typed_position(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    for box, value in zip(
        page.driver.find_elements("css selector", "[data-part=world]"), LESION_MM, strict=True
    ):
        box.clear()
        box.send_keys(str(value))
    page.find("[data-part=go] button").click()
    assert location(page)["labels"][0] == "left lesion"
    before = location(page)
    page.find("[data-part=world]").clear()
    page.find("[data-part=world]").send_keys("900\ue007")
    assert page.find("[data-part=outside]").is_displayed()
    assert location(page) == before


def test_zoom_keeps_the_place_under_the_crosshair(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    put(page, "[data-part=opacity]", 1)
    show(page, "axial")
    small = coloured(page, GREEN)
    put(page, "[data-part=zoom]", 2)
    large = coloured(page, GREEN)
    assert 3 < np.count_nonzero(large) / np.count_nonzero(small) < 5
    assert middle(large) == pytest.approx(middle(small), abs=0.03)


def test_names_with_markup_do_nothing(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    assert page.run("return window.hacked ?? null") is None
    assert page.driver.title == EVIL
    assert page.find("h1").text == EVIL
    assert page.find("[data-part=notes]").text.startswith(EVIL)
    assert page.run("return document.querySelectorAll('img').length") == 0
    assert page.errors() == []


def test_another_scan_of_the_page(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    choose_second(page)
    # One slice: its plane alone is shown, and no mask.
    assert page.find("[data-part=view]").get_attribute("value") == "axial"
    assert not page.find("[data-part=masks]").is_displayed()
    assert page.run(f"return {VIEWER}.moveTo([-7, -5, 0])")
    assert location(page) == {
        "world": [-7, -5, 0],
        "voxel": [7, 5, 0],
        "intensity": 7 * 30 + 5,
        "labels": [],
    }
    # Columns count to the patient's left, which is on the right: values rise from left to right.
    grey = page.picture(".stage").mean(axis=(0, 2))
    shown = grey[grey > 8]
    assert shown[-40:].mean() > shown[:40].mean() + 50
    assert page.errors() == []


def test_a_plain_picture_has_no_left_and_right(open_page: OpenPage, tmp_path: Path) -> None:
    voxels = np.arange(40 * 30, dtype=np.uint16).reshape(40, 30, 1)
    affine = np.diag([-1.0, -1, 1, 1])
    known = ViewedScan("slice", Volume(voxels, affine))
    picture = ViewedScan("radiograph", Volume(voxels, affine, warnings=(NO_GEOMETRY,)))
    write_viewer_page([known, picture], tmp_path / "view.html")
    page = ready(open_page(tmp_path / "view.html"))
    assert page.run("return document.querySelectorAll('[data-part=letters] span').length") > 0
    assert page.run("return !document.querySelector('[data-part=sides]').hidden")
    choose_second(page)
    page.wait("document.querySelectorAll('[data-part=letters] span').length === 0")
    assert page.run("return document.querySelector('[data-part=sides]').hidden")
    assert "left and right are unknown" in page.find("[data-part=notes]").text


@pytest.mark.parametrize("shape", [(61, 43, 5), (37, 29, 600), (1, 50, 40)])
def test_few_slices_and_many(
    open_page: OpenPage, tmp_path: Path, shape: tuple[int, int, int]
) -> None:
    voxels = np.random.default_rng(1).normal(0, 1, shape)
    scan = Volume(voxels, np.diag([1.2, 0.9, 2.0, 1.0]), "scan")
    write_viewer_page([ViewedScan("scan", scan)], tmp_path / "view.html")
    page = ready(open_page(tmp_path / "view.html"))
    assert page.find("[data-plane=axial]").get_attribute("max") == str(shape[2])
    last = np.array(shape) - 1
    assert page.run(f"return {VIEWER}.moveTo(arguments[0])", (last * [1.2, 0.9, 2.0]).tolist())
    assert location(page)["intensity"] == pytest.approx(voxels[tuple(last)])
    assert page.picture(".stage").std() > 10
    assert page.errors() == []


@pytest.mark.parametrize("values", [np.zeros(60), np.r_[np.nan, np.inf, np.arange(58.0)]])
def test_constant_and_broken_voxels(
    open_page: OpenPage, tmp_path: Path, values: NDArray[np.float64]
) -> None:
    scan = Volume(values.reshape(3, 4, 5), np.eye(4), "scan")
    write_viewer_page([ViewedScan("scan", scan)], tmp_path / "view.html")
    page = ready(open_page(tmp_path / "view.html"))
    page.run(f"{VIEWER}.moveTo([0, 0, 0])")
    assert page.find("[data-part=intensity]").text == ("0" if values[0] == 0 else "NaN")
    assert page.errors() == []


def test_a_scan_too_large_for_the_graphics_says_so(open_page: OpenPage, tmp_path: Path) -> None:
    scan = Volume(np.zeros((20_000, 2, 1), dtype=np.uint8), np.eye(4), "scan")
    write_viewer_page([ViewedScan("scan", scan)], tmp_path / "view.html")
    page = open_page(tmp_path / "view.html")
    page.wait(f"{ROOT}.dataset.state === 'failed'")
    assert "20000 x 2 x 1 voxels" in message_of(page)


def test_another_scan_after_one_that_is_too_large(open_page: OpenPage, tmp_path: Path) -> None:
    large = Volume(np.zeros((20_000, 2, 1), dtype=np.uint8), np.eye(4))
    small = Volume(np.arange(60, dtype=np.uint8).reshape(3, 4, 5), np.eye(4))
    viewed = [ViewedScan("small", small), ViewedScan("large", large)]
    write_viewer_page(viewed, tmp_path / "view.html")
    page = ready(open_page(tmp_path / "view.html"))
    choose = (
        "const chooser = document.querySelector('[data-part=scan]');"
        "for (const number of arguments) { chooser.selectedIndex = number;"
        "chooser.dispatchEvent(new Event('change')) }"
    )
    page.run(choose, 1)
    page.wait(f"{ROOT}.dataset.state === 'failed'")
    # The last one that is asked for counts.
    page.run(choose, 0, 1, 0)
    ready(page)
    page.run(f"{VIEWER}.moveTo([2, 3, 4])")
    assert location(page)["intensity"] == 59
    assert page.errors() == []


def test_lost_graphics_are_told(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    page.run(f"{VIEWER}.renderer.gl.getExtension('WEBGL_lose_context').loseContext()")
    page.wait(f"{ROOT}.dataset.state === 'failed'")
    assert "open the page again" in message_of(page)


def test_a_browser_without_webgl_says_so(open_page: OpenPage, path: Path) -> None:
    without = (
        "const get = HTMLCanvasElement.prototype.getContext;"
        "HTMLCanvasElement.prototype.getContext = function (kind, ...more) {"
        "return kind === 'webgl2' ? null : get.call(this, kind, ...more); }"
    )
    page = open_page(path, script=without)
    page.wait(f"{ROOT}.dataset.state === 'failed'")
    assert "WebGL 2" in message_of(page)


def test_dark_light_and_print(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    light = page.picture(".panels").mean()
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": dark})
    assert page.picture(".panels").mean() < light - 100
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print", "features": []})
    assert not page.find(".slicewise-viewer").is_displayed()


def test_a_narrow_window_needs_no_scrolling_sideways(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path, 390, 844))
    assert page.run("return document.documentElement.scrollWidth") == 390
    stage = page.find(".stage").size
    assert stage["width"] > 340
    # Room is left to scroll the page with a finger.
    assert stage["height"] < 0.75 * 844


def test_every_control_has_a_name(open_page: OpenPage, path: Path) -> None:
    page = ready(open_page(path))
    page.driver.execute_cdp_cmd("Accessibility.enable", {})
    tree = page.driver.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    roles = ("slider", "spinbutton", "combobox", "checkbox", "button", "application")
    controls = [
        (node["role"]["value"], node.get("name", {}).get("value", ""))
        for node in tree
        if not node["ignored"] and node["role"]["value"] in roles
    ]
    assert len(controls) >= 20
    assert [role for role, name in controls if not name.strip()] == []
    names = [name for _, name in controls]
    assert "window level as a number" in names
    assert "axial" in names


def test_in_another_page_it_waits_and_leaves_the_wheel(
    open_page: OpenPage, tmp_path: Path, scan: Volume
) -> None:
    from selenium.webdriver import ActionChains
    from selenium.webdriver.common.actions.wheel_input import ScrollOrigin

    parts = viewer_parts([ViewedScan("phantom", scan)], 10_000_000)
    scripts = "".join(f"<script>{script}</script>" for script in parts.scripts)
    (tmp_path / "page.html").write_text(
        "<!doctype html><style>p { color: rgb(1, 2, 3); height: 3000px }"
        f"{parts.style}</style><p>before</p>{parts.markup}<p>after</p>{scripts}"
    )
    page = open_page(tmp_path / "page.html")
    assert page.run(f"return {ROOT}.dataset.state") == "waiting"
    page.run(f"{ROOT}.scrollIntoView()")
    ready(page)
    before, place = page.run("return scrollY"), location(page)
    origin = ScrollOrigin.from_element(page.find("canvas"))
    ActionChains(page.driver).scroll_from_origin(origin, 0, 100).perform()
    page.wait(f"scrollY > {before}")
    assert location(page) == place
    click(page, 0.2, 0.4)
    before, place = page.run("return scrollY"), location(page)
    ActionChains(page.driver).scroll_from_origin(origin, 0, 100).perform()
    page.settle()
    assert location(page) != place
    assert page.run("return scrollY") == before
    assert page.errors() == []
