"""Writers of small pattern files after the documented layout of every format; what they write is known point by point.

They are independent of the readers: none imports anything of the package.
"""

import io
import struct
import zipfile

import numpy as np

X = 20 + 0.05 * np.arange(120)
Y = np.random.default_rng(5).poisson(400 + 3000 * np.exp(-(((X - 23) / 0.2) ** 2))).astype(float)
ALPHA1, ALPHA2, BETA = 1.5406, 1.54439, 1.39222
TIME_S = 2.5


def zipped(members, *, compression=zipfile.ZIP_DEFLATED):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def floats(y):
    return np.asarray(y, "<f4").tobytes()


# Bruker .raw, versions 1 to 4


def raw1_range(x, y, *, mark=True, following=0, phi=-1e6):
    head = b"RAW " if mark else b""
    head += struct.pack("<I", len(y)) + struct.pack("<ff", TIME_S, x[1] - x[0]) + struct.pack("<II", 0, 0)
    head += struct.pack("<ffff", x[0], -1e6, -1e6, phi) + b"SPECIMEN".ljust(32) + struct.pack("<ff", ALPHA1, ALPHA2)
    head += bytes(72) + struct.pack("<I", following)
    assert len(head) == (156 if mark else 152)
    return head + floats(y)


def raw1(scans=((X, Y),), *, marks=True):
    parts = []
    for i, (x, y) in enumerate(scans):
        parts.append(raw1_range(x, y, mark=marks or i == 0, following=len(scans) - 1 - i))
    return b"".join(parts)


def raw2(scans=((X, Y),), *, anode=b"Cu", header=48):
    head = b"RAW2" + struct.pack("<H", len(scans)) + bytes(162) + b"01-Jan-2001 12:00:00" + anode
    head += struct.pack("<fff", ALPHA1, ALPHA2, 0.5) + bytes(8) + struct.pack("<f", 100.0)
    head = head.ljust(256, b"\0")
    parts = [head]
    for x, y in scans:
        block = struct.pack("<HHI", header, len(y), 0) + struct.pack("<fff", TIME_S, x[1] - x[0], x[0])
        block = (block + bytes(26) + struct.pack("<H", 298)).ljust(header, b"\0")
        parts.append(block + floats(y))
    return b"".join(parts)


def raw3(scans=((X, Y),), *, anode=b"Cu", ratio=0.5, extra=0, stride=4, kind=0, chi=(), n=None):
    head = bytearray(712)
    head[:8] = b"RAW1.01\0"
    struct.pack_into("<II", head, 8, 1, len(scans))
    head[326:334] = b"SPECIMEN"
    head[608 : 608 + len(anode)] = anode
    struct.pack_into("<5d", head, 616, 1.5418, ALPHA1, ALPHA2, BETA, ratio)
    parts = [bytes(head)]
    for i, (x, y) in enumerate(scans):
        block = bytearray(304)
        struct.pack_into("<II", block, 0, 304, len(y) if n is None else n)
        struct.pack_into("<dd", block, 8, x[0] / 2, x[0])
        struct.pack_into("<d", block, 24, chi[i] if chi else 0.0)
        struct.pack_into("<d", block, 176, x[1] - x[0])
        struct.pack_into("<fI", block, 192, TIME_S, kind)
        struct.pack_into("<d", block, 240, ALPHA1)
        struct.pack_into("<III", block, 248, 0, stride, extra)
        records = np.zeros((len(y), stride), np.uint8)
        records[:, :4] = np.asarray(y, "<f4").view(np.uint8).reshape(-1, 4)
        parts += [bytes(block), bytes(extra), records.tobytes()]
    return b"".join(parts)


def raw4_segment(kind, content, name=b""):
    body = bytes(4) + name.ljust(24, b"\0") + content if name else content
    return struct.pack("<II", kind, 8 + len(body)) + body


def raw4_hardware(anode=b"Cu", ratio=0.5):
    body = bytes(64) + struct.pack("<5d", 1.5418, ALPHA1, ALPHA2, BETA, ratio) + bytes(4) + anode.ljust(4, b"\0")
    return raw4_segment(30, body)


def raw4_range(x, y, *, scan_type=b"Locked Coupled", chi=0.0, stride=4):
    drive = raw4_segment(50, bytes(20) + struct.pack("<d", chi) + bytes(28), b"Chi")
    head = bytearray(160)
    head[32 : 32 + len(scan_type)] = scan_type
    struct.pack_into("<dd", head, 72, x[0], x[1] - x[0])
    struct.pack_into("<If", head, 88, len(y), TIME_S)
    struct.pack_into("<II", head, 136, stride, len(drive))
    records = np.zeros((len(y), stride), np.uint8)
    records[:, :4] = np.asarray(y, "<f4").view(np.uint8).reshape(-1, 4)
    return bytes(head) + drive + records.tobytes()


def raw4(scans=((X, Y),), *, anode=b"Cu", ratio=0.5, chi=(), **options):
    parts = [b"RAW4.00\0".ljust(61, b"\0"), raw4_segment(10, b"SPECIMEN\n", b"SAMPLEID"), raw4_hardware(anode, ratio)]
    for i, (x, y) in enumerate(scans):
        parts.append(raw4_range(x, y, chi=chi[i] if chi else 0.0, **options))
    return b"".join(parts)


# Bruker .brml and .uxd


def brml_scan(x=X, y=Y, *, views=True, absorption=1.0, temperature=None, phi=0.0, anode="Cu", base="Counts"):
    more = "" if temperature is None else f",{temperature}"
    datum = "".join(
        f"<Datum>{TIME_S},{absorption},{a:.4f},{a / 2:.4f},{b:.0f}{more}</Datum>"
        for a, b in zip(x.tolist(), y.tolist())
    )
    view = (
        '<RawDataView xsi:type="FixedRawDataView" Start="0" Length="1" LogicName="MeasuredTime"/>'
        '<RawDataView xsi:type="FixedRawDataView" Start="1" Length="1" LogicName="AbsorptionFactor"/>'
        '<RawDataView xsi:type="VaryingRawDataView" Start="2" Length="2"><Varying LogicName="ScanAxes">'
        '<FieldDefinitions FieldName="TwoTheta" AxisId="TwoTheta"/>'
        '<FieldDefinitions FieldName="Theta"/></Varying></RawDataView>'
        '<RawDataView xsi:type="RecordedRawDataView" Start="4" Length="1">'
        '<Recording LogicName="ScanCounter" Category="Count">'
        f'<Unit Prefix="None" Base="{base}"/></Recording></RawDataView>'
    )
    if temperature is not None:
        view += (
            '<RawDataView xsi:type="RecordedRawDataView" Start="5" Length="1">'
            '<Recording LogicName="ActualTemperature"/></RawDataView>'
        )
    axes = "".join(
        f'<ScanAxisInfo AxisName="{name}"><Start>{start}</Start></ScanAxisInfo>'
        for name, start in (("TwoTheta", x[0]), ("Theta", x[0] / 2))
    )
    return (
        '<?xml version="1.0"?><RawData xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        '<DataRoutes><DataRoute RouteFlag="Measured">'
        f'<ScanInformation VisibleName="Coupled TwoTheta/Theta"><ScanAxes>{axes}</ScanAxes></ScanInformation>{datum}'
        f"{f'<DataViews>{view}</DataViews>' if views else ''}</DataRoute></DataRoutes><FixedInformation>"
        f'<Drives><InfoData LogicName="Phi"><Position Unit="deg" Value="{phi}"/></InfoData></Drives>'
        f'<Instrument><WaveLengthAlpha1 Value="{ALPHA1}"/><WaveLengthRatio Value="0.5"/>'
        f"<TubeMaterial>{anode}</TubeMaterial></Instrument></FixedInformation></RawData>"
    )


def brml(*scans):
    members = {f"Experiment0/RawData{i}.xml": text for i, text in enumerate(scans or (brml_scan(),))}
    listed = "".join(f"<string>{name}</string>" for name in members)
    container = f"<DataContainer><RawDataReferenceList>{listed}</RawDataReferenceList></DataContainer>"
    return zipped({"Experiment0/DataContainer.xml": container, **members})


def uxd(scans=((X, Y),), *, mark="_2THETACOUNTS", drive="COUPLED", khi=()):
    lines = ["; converted", "_FILEVERSION=2", "_SAMPLE='SPECIMEN'", f"_WL1={ALPHA1}", "_WLRATIO=0.5", "_ANODE='Cu'"]
    for i, (x, y) in enumerate(scans):
        lines += [f"; (Data for Range number {i + 1})", f"_DRIVE='{drive}'", f"_STEPTIME={TIME_S}"]
        lines += [f"_STEPSIZE={x[1] - x[0]:.6f}", f"_START={x[0]:.6f}", f"_KHI={khi[i] if khi else 0}", mark]
        if mark.startswith("_2THETA"):
            lines += [f"{a:.4f}\t{b:.0f}" for a, b in zip(x, y)]
        else:
            lines += [" ".join(f"{b:.0f}" for b in y[j : j + 8]) for j in range(0, len(y), 8)]
    return ("\r\n".join(lines) + "\r\n").encode()


# Rigaku .ras and .rasx


def ras_scan(x=X, y=Y, *, axis="TwoThetaTheta", attenuation=1.0, end=True, wave="Ka", target="Cu", phi="0.0"):
    said = {
        "FILE_SAMPLE": "SPECIMEN",
        "HW_XG_TARGET_NAME": target,
        "HW_XG_WAVE_LENGTH_ALPHA1": ALPHA1,
        "MEAS_COND_AXIS_NAME-3": "Phi",
        "MEAS_COND_AXIS_POSITION-3": phi,
        "MEAS_COND_XG_WAVE_TYPE": wave,
        "MEAS_DATA_COUNT": len(y),
        "MEAS_SCAN_AXIS_X_INTERNAL": axis,
        "MEAS_SCAN_MODE": "CONTINUOUS",
        "MEAS_SCAN_SPEED": 60 * (x[1] - x[0]) / TIME_S,
        "MEAS_SCAN_SPEED_UNIT": "deg/min",
        "MEAS_SCAN_STEP": x[1] - x[0],
        "MEAS_SCAN_UNIT_Y": "counts",
    }
    lines = ["*RAS_HEADER_START", *(f'*{key} "{value}"' for key, value in said.items()), "*RAS_HEADER_END"]
    lines += ["*RAS_INT_START", *(f"{a:.4f} {b:.4f} {attenuation:.4f}" for a, b in zip(x, y))]
    return "\r\n".join([*lines, *(["*RAS_INT_END"] if end else [])])


def ras(*scans, end=True):
    tail = "\r\n*RAS_DATA_END\r\n" if end else "\r\n"
    return ("*RAS_DATA_START\r\n" + "\r\n".join(scans or (ras_scan(),)) + tail).encode("latin-1")


def rasx_members(x=X, y=Y, *, i=0, axis="TwoThetaTheta", wave="Ka", omega="0.0", unit="counts"):
    profile = "\ufeff" + "".join(f"{a:.4f}\t{b:.0f}\t1\r\n" for a, b in zip(x, y))
    conditions = (
        "\ufeff<?xml version='1.0' encoding='utf-8'?><MeasurementConditions><HWConfigurations><XrayGenerator>"
        f"<TargetName>Cu</TargetName><WaveType>{wave}</WaveType><WavelengthKalpha1>{ALPHA1}</WavelengthKalpha1>"
        f'</XrayGenerator></HWConfigurations><Axes><Axis Name="Omega" Position="{omega}" State="Fixed"/></Axes>'
        f"<ScanInformation><AxisName>{axis}</AxisName><Mode>STEP</Mode><Speed>{TIME_S}</Speed>"
        f"<SpeedUnit>sec</SpeedUnit><IntensityUnit>{unit}</IntensityUnit></ScanInformation></MeasurementConditions>"
    )
    return {f"Data{i}/Profile{i}.txt": profile, f"Data{i}/MesurementConditions{i}.xml": conditions}


def rasx(*members):
    joined = {}
    for each in members or (rasx_members(),):
        joined.update(each)
    folders = sorted({name.partition("/")[0] for name in joined})
    root = "".join(
        f'<{folder} Type="Profile"><ContentHashList Name="{folder.replace("Data", "Profile")}.txt"/></{folder}>'
        for folder in folders
    )
    return zipped({**joined, "root.xml": f"<?xml version='1.0'?><Root Version='1.1.0.0'>{root}</Root>"})


# GSAS and pdCIF


def gsas(x=X, y=Y, *, records="STD", binning="CONST", n=None, counters=1, std=None, title="SPECIMEN"):
    std = np.sqrt(y) if std is None else std
    if records == "STD":
        fields, width, per = [f"{counters:2d}{b:6.0f}" for b in y], 8, 10
    elif records == "ESD":
        fields, width, per = [f"{b:8.1f}{e:8.1f}" for b, e in zip(y, std)], 16, 5
    else:
        fields, width, per = [f"{100 * a:15.6f}{b:15.6f}{e:15.6f}" for a, b, e in zip(x, y, std)], 45, 1
        if records == "FXY":
            fields = [field[:30] for field in fields]
    rows = ["".join(fields[i : i + per]).ljust(80) for i in range(0, len(fields), per)]
    assert all(len(field) <= width for field in fields)
    step = 100 * (x[1] - x[0])
    bank = f"BANK 1 {len(y) if n is None else n} {len(rows)} {binning} {100 * x[0]:.4f} {step:.4f} 0 0 {records}"
    return "\r\n".join([title.ljust(80), bank.ljust(80), *rows, ""]).encode("latin-1")


def pdcif(x=X, y=Y, *, x_name="_pd_meas_2theta_scan", y_name="_pd_meas_counts_total", su=None, extra="", n=None):
    lines = ["data_scan", "_pd_block_id  'a; quoted value'", "_diffrn_radiation_probe x-ray", ";", "_not_a_name", ";"]
    lines[3:3] = ["_pd_char_special_details"]
    lines += [f"_diffrn_radiation_wavelength {ALPHA1}", f"_pd_meas_step_count_time {TIME_S}", extra]
    values = [f"{b:.0f}" + ("" if su is None else f"({su})") for b in y]
    if x_name:
        lines += ["loop_", x_name, y_name, *(f"{a:.4f}  {b}" for a, b in zip(x, values))]
    else:
        stem = "_pd_meas_2theta_range_"
        lines += [f"{stem}min {x[0]:.4f}", f"{stem}max {x[-1]:.4f}", f"{stem}inc {x[1] - x[0]:.4f}"]
        lines += ["loop_", y_name, *values[:n]]
    return ("\n".join(lines) + "\n# end\n").encode()


def xrdml(scans=((X, Y),), *, phi=(), anode="Cu"):
    parts = []
    for i, (x, y) in enumerate(scans):
        parts.append(
            '<scan scanAxis="Gonio" status="Completed"><dataPoints><positions axis="2Theta" unit="deg">'
            f"<startPosition>{x[0]}</startPosition><endPosition>{x[-1]}</endPosition></positions>"
            f'<positions axis="Phi" unit="deg"><commonPosition>{phi[i] if phi else 0}</commonPosition></positions>'
            f"<commonCountingTime unit='seconds'>{TIME_S}</commonCountingTime>"
            f'<counts unit="counts">{" ".join(f"{v:.0f}" for v in y)}</counts></dataPoints></scan>'
        )
    return (
        '<?xml version="1.0"?><xrdMeasurements><xrdMeasurement><usedWavelength intended="K-Alpha 1">'
        f"<kAlpha1>{ALPHA1}</kAlpha1><ratioKAlpha2KAlpha1>0.5</ratioKAlpha2KAlpha1></usedWavelength><xRayTube>"
        f"<anodeMaterial>{anode}</anodeMaterial></xRayTube>{''.join(parts)}</xrdMeasurement></xrdMeasurements>"
    ).encode()


#: One whole, small file of every instrument format: name -> content.
WHOLE = {
    "v1.raw": raw1(),
    "v2.raw": raw2(),
    "v3.raw": raw3(),
    "v4.raw": raw4(),
    "a.brml": brml(),
    "a.uxd": uxd(),
    "a.ras": ras(),
    "a.rasx": rasx(),
    "a.xrdml": xrdml(),
    "a.gsas": gsas(),
    "esd.gsa": gsas(records="ESD"),
    "a.fxye": gsas(records="FXYE"),
    "gsas.raw": gsas(),
    "a.pdcif": pdcif(),
    "a.cif": pdcif(x_name=""),
}
