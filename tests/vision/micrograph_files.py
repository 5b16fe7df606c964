"""Micrograph files that the tests make: headers of microscopes, DigitalMicrograph and MRC files, pictures with bars."""

import struct

import numpy as np
import tifffile

GREY = np.arange(32 * 48, dtype=np.uint8).reshape(32, 48)
FRAME = np.tile(np.arange(64, dtype=np.uint8), (48, 2))  # 48 x 128


def tiff(path, image=GREY, **options):
    tifffile.imwrite(path, image, **options)
    return path


def fei_tag(pixel_nm, rows=None, columns=None):
    """Give the text tag 34682 of FEI and Thermo Fisher as `extratags` of tifffile."""
    image = "".join(f"Resolution{k}={n}\r\n" for k, n in (("X", columns), ("Y", rows)) if n is not None)
    text = f"[Image]\r\n{image}[Scan]\r\nPixelWidth={pixel_nm * 1e-9:.9e}\r\nPixelHeight={pixel_nm * 1e-9:.9e}\r\n"
    return [(34682, "s", 0, text, True)]


def zeiss_tag(image=None, pixel=None, store=None):
    """Give the text tag 34118 of Zeiss: `AP_IMAGE_PIXEL_SIZE`, `AP_PIXEL_SIZE`, `DP_IMAGE_STORE`."""
    lines = ["0", "0", "0", "1.0e-007"]
    if store is not None:
        lines += ["DP_IMAGE_STORE", f"Store resolution = {store}"]
    for key, name, value in (("IMAGE_PIXEL", "Image Pixel", image), ("PIXEL", "Pixel", pixel)):
        if value is not None:
            lines += [f"AP_{key}_SIZE", f"{name} Size = {value}"]
    return [(34118, "s", 0, ("\r\n".join(lines) + "\r\n").encode("cp1252"), True)]


def tescan_tag(pixel_m):
    """Give tag 50431 of Tescan: text between binary blocks."""
    text = f"[MAIN]\r\nDevice=MIRA3\r\nPixelSizeX={pixel_m:.6e}\r\nPixelSizeY={pixel_m:.6e}\r\n[SEM]\r\nHV=20000\r\n"
    raw = b"\x02\x00\x00\x01\xff\xd8" + text.encode("ascii") + b"\x03\x00\xfe"
    return [(50431, "B", len(raw), raw, True)]


def jeol_text(bar_px=160, marker="5um", size="1280 960"):
    return (
        f"$CM_FORMAT JEOL/SEM\r\n$CM_VERSION 1.0\r\n$CM_INSTRUMENT 7000F\r\n$CM_MAG 5000\r\n$CM_FULL_SIZE {size}\r\n"
        f"$$SM_WD 10.0\r\n$$SM_MICRON_BAR {bar_px}\r\n$$SM_MICRON_MARKER {marker}\r\n"
    )


def hitachi_text(pixel_nm=24.80469, size="1280x960"):
    return (
        f"[SemImageFile]\r\nInstructName=SU8000\r\nDataSize={size}\r\nPixelSize={pixel_nm}\r\n"
        "Magnification=4000\r\nMicronMarker=10000\r\n"
    )


def tescan_text(pixel_m=2.5e-8):
    return f"[MAIN]\r\nDevice=MIRA3\r\nMagnification=2000\r\nPixelSizeX={pixel_m}\r\nPixelSizeY={pixel_m}\r\n[SEM]\r\n"


def write_mrc(path, data, pixel_A=None, order="<", mode=None, fei_pixel_m=None, version=20140):
    """Write an MRC file as MRC2014 lays it out; `pixel_A` None leaves the cell at nought."""
    data = np.asarray(data)
    volume = data if data.ndim == 3 else data[None]
    n, rows, columns = volume.shape
    mode = {"i1": 0, "u1": 0, "i2": 1, "f4": 2, "u2": 6}[volume.dtype.str[1:]] if mode is None else mode
    head = bytearray(1024)
    struct.pack_into(order + "10i", head, 0, columns, rows, n, mode, 0, 0, 0, columns, rows, n)
    cell = [0.0, 0.0, 0.0] if pixel_A is None else [columns * pixel_A, rows * pixel_A, n * pixel_A]
    struct.pack_into(order + "3f", head, 40, *cell)
    struct.pack_into(order + "i", head, 108, version)
    head[208:216] = b"MAP " + (b"\x44\x44\0\0" if order == "<" else b"\x11\x11\0\0")
    extended = b""
    if fei_pixel_m is not None:
        entries = np.zeros((1024, 32), order + "f4")
        entries[:n, 11] = fei_pixel_m
        extended = entries.tobytes()
        struct.pack_into(order + "i", head, 92, len(extended))
    path.write_bytes(bytes(head) + extended + volume.astype(volume.dtype.newbyteorder(order)).tobytes())
    return path


def write_dm(path, data, scale=0.02, units="nm", version=3):
    """Write a DigitalMicrograph file with one image: the tag tree that readers need, and nothing else."""
    wide = "Q" if version == 4 else "I"
    image_type, code = {"u1": (6, 10), "i2": (1, 2), "u2": (10, 4), "f4": (2, 6)}[data.dtype.str[1:]]

    def named(marker, name, rest):
        size = struct.pack(">Q", len(rest)) if version == 4 else b""
        return bytes([marker]) + struct.pack(">H", len(name)) + name.encode("latin-1") + size + rest

    def group(name, *children):
        return named(20, name, b"\1\0" + struct.pack(">" + wide, len(children)) + b"".join(children))

    def described(name, info, raw):
        return named(21, name, b"%%%%" + struct.pack(f">{1 + len(info)}{wide}", len(info), *info) + raw)

    def number(name, code, kind, value):
        return described(name, [code], struct.pack("<" + kind, value))

    def array(name, code, count, raw):
        return described(name, [20, code, count], raw)

    def text(name, value):
        return array(name, 4, len(value), value.encode("utf-16-le"))

    dimensions = [
        group("", number("Origin", 6, "f", 0.0), number("Scale", 6, "f", scale), text("Units", units))
        for _ in data.shape
    ]
    brightness = group("Brightness", number("Origin", 6, "f", 0), number("Scale", 6, "f", 1), text("Units", ""))
    image_data = group(
        "ImageData",
        group("Calibrations", brightness, group("Dimension", *dimensions)),
        array("Data", code, data.size, data.astype(data.dtype.newbyteorder("<")).tobytes()),
        number("DataType", 5, "I", image_type),
        group("Dimensions", *[number("", 5, "I", n) for n in data.shape[::-1]]),
        number("PixelDepth", 5, "I", data.dtype.itemsize),
    )
    root = [
        group("DocumentObjectList", group("", number("ImageSource", 5, "I", 0))),
        group("ImageList", group("", image_data, group("ImageTags"), text("Name", "test"))),
    ]
    body = b"\1\0" + struct.pack(">" + wide, len(root)) + b"".join(root)
    path.write_bytes(struct.pack(">I" + wide + "I", version, len(body), 1) + body + b"\0" * 8)
    return path


def write_ser(path, data, pixel_m=2e-11):
    """Write a TIA series of one image (rows, columns) of unsigned 16-bit numbers."""
    rows, columns = data.shape
    dimension = struct.pack("<I2d3I", 1, 0.0, 1.0, 0, 0, 0)
    start = 30 + len(dimension)
    head = struct.pack("<3H6I", 0x4949, 0x0197, 0x210, 0x4122, 0x4152, 1, 1, start, 1)
    element = struct.pack("<2dI2dI", 0.0, pixel_m, 0, 0.0, pixel_m, 0) + struct.pack("<H2I", 2, columns, rows)
    element += data.astype("<u2").tobytes()
    tag = struct.pack("<2HI", 0x4152, 0, 0)
    offsets = struct.pack("<2I", start + 8, start + 8 + len(element))
    path.write_bytes(head + dimension + offsets + element + tag)
    return path


def signal_of(data, units="µm", names="zyx", scale=0.02, navigate=()):
    """Give the dictionary that the writers of rosettasciio take."""
    names = names[-data.ndim :]
    axes = [
        {
            "units": units,
            "scale": scale,
            "offset": 0.0,
            "navigate": i in navigate,
            "_type": "UniformDataAxis",
            "name": names[i],
            "size": n,
            "index_in_array": i,
        }
        for i, n in enumerate(data.shape)
    ]
    return {
        "data": data,
        "axes": axes,
        "metadata": {"General": {"title": "t"}, "Signal": {"signal_type": ""}},
        "original_metadata": {},
        "tmp_parameters": {},
        "attributes": {"_lazy": False, "ragged": False},
        "learning_results": {},
        "models": {},
        "package_info": {"package": "hyperspy", "package_version": "2.3"},
    }


def noisy_picture(shape=(240, 320), seed=0):
    """Give a picture of 8 bits with smooth and fine structure."""
    from scipy import ndimage

    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.normal(size=shape), 6)
    return np.clip(128 + 300 * smooth + rng.normal(0, 12, shape), 0, 255).astype(np.uint8)


def data_bar(columns, rows=40, ground=0, ink=255, scale_px=None, left=None, broken=False):
    """Draw a data bar with letter-like strokes at the left and a scale bar at the right."""
    bar = np.full((rows, columns), ground, np.uint8)
    for x in range(8, columns // 2, 12):
        bar[rows // 4 : 3 * rows // 4, x : x + 2] = ink
        bar[rows // 4 : rows // 4 + 2, x : x + 7] = ink
    if scale_px is not None:
        left = columns - scale_px - 12 if left is None else left
        middle = rows // 2
        bar[middle : middle + 2, left : left + scale_px] = ink
        if broken:
            bar[middle - 6 : middle + 8, left + int(0.35 * scale_px) : left + int(0.65 * scale_px)] = ground
        for x in (left, left + scale_px - 2):
            bar[middle - 7 : middle + 9, x : x + 2] = ink
    return bar
