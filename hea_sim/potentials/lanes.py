"""Several numbers at once inside numba kernels, in single or double precision.

numba cannot say that two arrays do not overlap, so LLVM rarely vectorises short loops over several of them. Here a
value of type `Lanes` *is* a vector in registers: sixteen single or eight double numbers (64 bytes), or a quad of four.

| function | does |
|---|---|
| `load(a, row)`, `store(a, row, v)` | row of a contiguous array (rows, lanes) to a vector and back |
| `fill(x)` | one number in all lanes |
| `load_quad(a, row)`, `fill_quad(x)` | the same for four numbers, from an array (rows, 4) |
| `store_quad(a, row, v)` | and back |
| `spread_quad(a, row, lane, v)`, `collect_quad(a, row, lane)` | a[row + k, lane] = v[k] for k = 0..3, and back |
| `+ - * /`, `root` | lane by lane; a product and a sum may fuse |
"""

from __future__ import annotations

import operator
from typing import Any

from llvmlite import ir
from numba.core import types
from numba.core.cgutils import get_or_insert_function
from numba.core.datamodel.models import PrimitiveModel
from numba.extending import intrinsic as numba_intrinsic
from numba.extending import overload, register_model

#: Bytes of one vector; LLVM cuts it into what the processor has.
VECTOR_BYTES = 64
_FLAGS = ("contract",)
#: Untyped: the first argument of an intrinsic, the context, is not passed by those who call it.
intrinsic: Any = numba_intrinsic


class LanesType(types.Type):
    """The numba type of a vector of numbers."""

    def __init__(self, dtype: Any, width: int) -> None:
        super().__init__(name=f"Lanes({dtype}, {width})")
        self.dtype, self.width = dtype, width


@register_model(LanesType)
class _LanesModel(PrimitiveModel):
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, _vector(kind))


def _full(dtype: Any) -> LanesType:
    return LanesType(dtype, VECTOR_BYTES * 8 // dtype.bitwidth)


def _vector(kind: LanesType) -> ir.VectorType:
    number = ir.FloatType() if kind.dtype == types.float32 else ir.DoubleType()
    return ir.VectorType(number, kind.width)


def _row(context: Any, builder: Any, signature: Any, arguments: Any, kind: LanesType) -> Any:
    """Point at a row of the array that is the first argument; the row is the second."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    row = context.cast(builder, arguments[1], signature.args[1], types.intp)
    place = builder.gep(data, [builder.mul(row, ir.Constant(row.type, kind.width))])
    return builder.bitcast(place, _vector(kind).as_pointer())


def _make_load(array: Any, row: Any, kind: LanesType) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_row(context, builder, signature, arguments, kind), align=kind.dtype.bitwidth // 8)

    return kind(array, row), generate


def _make_fill(number: Any, kind: LanesType) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector, index = _vector(kind), ir.IntType(32)
        one = context.cast(builder, arguments[0], number, kind.dtype)
        first = builder.insert_element(ir.Constant(vector, ir.Undefined), one, ir.Constant(index, 0))
        mask = ir.Constant(ir.VectorType(index, kind.width), [0] * kind.width)
        return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)

    return kind(number), generate


@intrinsic
def load(typingctx: Any, array: Any, row: Any) -> Any:
    """Take a row of an array of shape (rows, lanes)."""
    return _make_load(array, row, _full(array.dtype))


@intrinsic
def load_quad(typingctx: Any, array: Any, row: Any) -> Any:
    """Take a row of an array of shape (rows, 4)."""
    return _make_load(array, row, LanesType(array.dtype, 4))


@intrinsic
def fill(typingctx: Any, number: Any) -> Any:
    """Repeat a number in all lanes."""
    return _make_fill(number, _full(number))


@intrinsic
def fill_quad(typingctx: Any, number: Any) -> Any:
    """Repeat a number four times."""
    return _make_fill(number, LanesType(number, 4))


@intrinsic
def store(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    """Put a vector into a row of an array of shape (rows, lanes)."""
    return _make_store(array, row, value)


@intrinsic
def store_quad(typingctx: Any, array: Any, row: Any, value: Any) -> Any:
    """Put four numbers into a row of an array of shape (rows, 4)."""
    return _make_store(array, row, value)


def _make_store(array: Any, row: Any, value: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = _row(context, builder, signature, arguments, value)
        builder.store(arguments[2], place, align=value.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, row, value), generate


def _column(context: Any, builder: Any, signature: Any, arguments: Any, full: LanesType) -> list[Any]:
    """Point at four numbers of a lane, one below the other, from a row on: arguments array, row, lane."""
    row = _row(context, builder, signature, arguments, full)
    start = builder.bitcast(row, _vector(full).element.as_pointer())
    lane = context.cast(builder, arguments[2], signature.args[2], types.intp)
    return [builder.gep(start, [builder.add(lane, ir.Constant(lane.type, k * full.width))]) for k in range(4)]


@intrinsic
def spread_quad(typingctx: Any, array: Any, row: Any, lane: Any, value: Any) -> Any:
    """Put four numbers into one column of an array of shape (rows, lanes), from a row on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        for k, place in enumerate(_column(context, builder, signature, arguments, _full(value.dtype))):
            builder.store(builder.extract_element(arguments[3], ir.Constant(ir.IntType(32), k)), place)
        return context.get_dummy_value()

    return types.void(array, row, lane, value), generate


@intrinsic
def collect_quad(typingctx: Any, array: Any, row: Any, lane: Any) -> Any:
    """Take four numbers of one column of an array of shape (rows, lanes), from a row on."""
    kind = LanesType(array.dtype, 4)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        quad = ir.Constant(_vector(kind), ir.Undefined)
        for k, place in enumerate(_column(context, builder, signature, arguments, _full(array.dtype))):
            quad = builder.insert_element(quad, builder.load(place), ir.Constant(ir.IntType(32), k))
        return quad

    return kind(array, row, lane), generate


@intrinsic
def root(typingctx: Any, value: Any) -> Any:
    """Take the square root of each lane."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vector = _vector(value)
        name = f"llvm.sqrt.v{value.width}f{value.dtype.bitwidth}"
        function = get_or_insert_function(builder.module, ir.FunctionType(vector, [vector]), name)
        return builder.call(function, arguments)

    return value(value), generate


def _make_operator(symbol: Any, instruction: str) -> None:
    @intrinsic
    def apply(typingctx: Any, left: Any, right: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return getattr(builder, instruction)(*arguments, flags=_FLAGS)

        return left(left, right), generate

    @overload(symbol)
    def _apply(left: Any, right: Any) -> Any:
        def implementation(left: Any, right: Any) -> Any:
            return apply(left, right)

        return implementation if isinstance(left, LanesType) and left == right else None


for _symbol, _instruction in (
    (operator.add, "fadd"), (operator.sub, "fsub"), (operator.mul, "fmul"), (operator.truediv, "fdiv"),
):  # fmt: skip
    _make_operator(_symbol, _instruction)
