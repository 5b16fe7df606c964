"""The real patterns of the classifier benchmark: a frozen list, and what is right for each.

The list was frozen before any labeller was trained; a file whose SHA-256 differs is refused. Elements are not told.
Where a file does not say its tube, the list does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hea_sim.documents import sha256_of
from hea_sim.errors import InputError, MissingFileError
from hea_sim.records import Pattern
from hea_vision.io import read_pattern


@dataclass(frozen=True, kw_only=True)
class RealPattern:
    """Hold one file and its truth: fundamental lattices (none: not an alloy), a certified lattice parameter.

    `named` is a lattice that has to be named although the pattern is refused; `radiation` None where the file says it.
    """

    path: str
    sha256: str
    lattices: tuple[str, ...] = ()
    named: str = ""
    radiation: str | None = None
    a_A: float | None = None

    def read(self, data: Path) -> Pattern:
        """Read the pattern from the folder of real data.

        Raises MissingFileError or InputError where the file is not there or not the frozen one.
        """
        file = data / self.path
        if not file.is_file():
            raise MissingFileError(f"{file} is missing; the benchmark needs the whole frozen list: `hea data list`")
        found = sha256_of(file)
        if found != self.sha256:
            raise InputError(
                f"{file} has SHA-256 {found[:12]}, the frozen list {self.sha256[:12]}; get the data set again"
            )
        return read_pattern(file)


#: Six alloys first; then LaB6, oxides and silicon, which are none.
REAL_PATTERNS: tuple[RealPattern, ...] = (
    RealPattern(
        path="xrd/steel_d8/E211110-AAC-001_008-000_exported.csv",
        sha256="4c4fe066ac296624a35f470d43dcc316cb8fbdc9f0160af4fa2e87032655fd1b",
        lattices=("A2",),
        radiation="CuKa",
        a_A=2.8665,
    ),
    RealPattern(
        path="xrd/steel_d8/E211110-AAC-001_012-000_exported.csv",
        sha256="69d2a7472d719e97d14d385759d817647ec4322e738e85f0044f70535b2f0567",
        lattices=("A1",),
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/steel_d8/E211110-AAC-001_013-000_exported.csv",
        sha256="efeb1189685e09e42bda7aa7647fc45b08fbc97d2d5b1a78114c09c4585c4495",
        lattices=("A1", "A2"),
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/steel_d8/E211110-AAC-001_014-000_exported.csv",
        sha256="ced592d03caa768b7ac540d2186e36690eb614fd797159d5f2ee8a5c522d166e",
        lattices=("A1", "A2"),
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/steel_xrdml/Gonio_BB-HD-Cu_Gallipix3d[30-120]_New_Control_proper_power.xrdml",
        sha256="85fbfbf528d92e5f998a67746fbd2eeaf339c0848c2db36b0215b7e63e5df88c",
        lattices=("A1", "A2"),
    ),
    RealPattern(
        path="specimens/nbmotativ/Nb_Mo_Ta_Ti_V_As_Cast_01_001_exported.xy",
        sha256="2e8144f5b8178b96a81dcfd86f7c33568b32220bcae69cfc5b405dfd078d8b71",
        lattices=("A2",),
    ),
    RealPattern(
        path="xrd/steel_d8/E211110-AAC-001_005-000_exported.csv",
        sha256="8e833f69befb81a908d2c52583a7843e89df7ffce71f7d69f8954041938a8792",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/Li2MnO3+MnO+TiO2.xy",
        sha256="f79ae2cb342b68bc0375d90e929fa6de3b7a99f7e4469603110ed878de3b3199",
        named="B1",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/LiMnO2.xy",
        sha256="a7fd38668a1c342ce6fd6e123d4715a72b18196f86ad266d09042008f42b0da6",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/Mn2O3+LiF.xy",
        sha256="e4b1c1dce8f2ed3a3b339102f26b00a8c6a6b9acfac839d2b4cf4771f4fa4df9",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/Mn2O3.xy",
        sha256="9ef40dc8b60abdf2e2ccfaebdab989952f6c2bc88969d4c7f0a1cf57a23ff11e",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/MnO.xy",
        sha256="bc5c7c2e7a6e3e95ab76e50a7ca761ff93c428abb9ccd92dfb41b9d6e49c9e12",
        named="B1",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/MnO2.xy",
        sha256="e89229becf1e4ac7fbe554701e16f6ee5927e080a9d9d88c7aee398eac932a73",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/TiO2+MnO.xy",
        sha256="796ebeab4c157a8080d93bc39019f735b3dcc6aff27d4fb57ca7e3cb809927ef",
        named="B1",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/non_alloy/TiO2.xy",
        sha256="996c0828f8e0feeeb155141c190741f01f488147a27266341be2c3529f2acda6",
        radiation="CuKa",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/Bi2O3-2MoO3_400C_60min.xrdml",
        sha256="bea6910884dcdc2b1b1bbe4583f10f91338801f3c89bb2ebf783d4f7d20855e8",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/CoO-WO3_900C_60min.xrdml",
        sha256="6fa00468cddf5378c7d7167be9de369b7e6c539f644ffbb89a3cef49e2aa0ea8",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/Cr2O3-2ZnO_1100C_60min.xrdml",
        sha256="a6156193488c5239cb8ce3082e28651b17ddcc66c30b4a6a6b5e648050ca2e01",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/Fe3O4-3ZnO_1000C_60min.xrdml",
        sha256="774663b46f9dacc18813be52a996d68ff8e5eafa1535fd1bdce963482dab8879",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/GeO2-ZnO_700C_60min.xrdml",
        sha256="5957f2b720da256bb45b73a1012e436694bc6dc445375f5ce766f712950008b9",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/In2O3_0p5002-MnCO3_0p5000--2min.xrdml",
        sha256="8977f00fe2eaf56b2aec590a0b427d99b133170961f72620c12374bc7a79e352",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/NiO_0p6007-Bi2O3_0p4008--2min.xrdml",
        sha256="e5e4255a79e6d24c5f9bd08a21528faad0f53483c48539bbfaaba291e5848ed1",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/RM20220915Si01.rasx",
        sha256="3bcdf6f650de8143ea0a8e30589014b39bc4b7237c35ea3ec9e687d5f815cb1a",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/TiO2_0p4009-ZnO_0p6010--2min.xrdml",
        sha256="816b2a101078dc3a880647ec75992301b49167090ce73860f6c89036f102d1b8",
    ),
    RealPattern(
        path="xrd/reaction_xrdml/V2O5-2ZnO_400C_60min.xrdml",
        sha256="06c548eb0f47edfec50d59e5f585077f0c6abcd05d39c131bae662ded9a3c6ec",
    ),
)
