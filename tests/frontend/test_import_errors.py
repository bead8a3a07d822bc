"""Each bad model ends in one line that names what is wrong and what would work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from accelc.errors import ModelError, UnsupportedError
from accelc.frontend import import_onnx
from tests.ir_float import execute, run_ort
from tests.onnx_build import check, model, node


def refused(built: onnx.ModelProto | Path, *parts: str, **dims: int) -> None:
    with pytest.raises(ModelError) as caught:
        import_onnx(built, dims=dims)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def relu(shape: tuple[int | str | None, ...] = (1, 2)) -> onnx.ModelProto:
    return model([node("Relu", "x")], {"x": shape})


def test_missing_file(tmp_path: Path) -> None:
    refused(tmp_path / "none.onnx", "none.onnx", "does not exist")
    refused(tmp_path, "not a file")


@pytest.mark.parametrize("content", [b"", b"not an onnx model at all", b"\x08\x07", bytes(range(256))])
def test_other_files(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    refused(tmp_path / "m.onnx", "m.onnx", "not an ONNX model")


def test_truncated_file(tmp_path: Path) -> None:
    whole = model([node("Add", "x c")], {"x": (64,)}, constants={"c": np.ones(64, np.float32)}).SerializeToString()
    for length in (len(whole) // 3, len(whole) // 2, len(whole) - 5):
        (tmp_path / "m.onnx").write_bytes(whole[:length])
        refused(tmp_path / "m.onnx", "m.onnx")


def test_path_as_text_works(tmp_path: Path) -> None:
    onnx.save(relu(), tmp_path / "m.onnx")
    assert [layer.op for layer in import_onnx(str(tmp_path / "m.onnx")).layers] == ["relu"]


def test_failing_checker() -> None:
    built = relu()
    built.graph.node[0].input[0] = "nowhere"
    refused(built, "not a valid ONNX model", "nowhere")


def test_operand_shapes_that_do_not_fit() -> None:
    built = model([node("Add", "x c")], {"x": (2, 3)}, constants={"c": np.ones(4, np.float32)}, out_shape=[2, 4])
    refused(built, "add_y", "Add")


def test_opset_too_old_or_too_new() -> None:
    for opset in (6, 999):
        built = relu()
        built.opset_import[0].version = opset
        refused(built, str(opset), "are supported")


def test_batch_is_one_unless_given() -> None:
    for name in (None, "batch", "batch_size", "N"):
        assert import_onnx(relu((name, 2))).tensors["y"].shape == (1, 2)
    assert import_onnx(relu(("N", 2)), dims={"N": 3}).tensors["y"].shape == (3, 2)
    assert import_onnx(relu((None, 2)), dims={"x:0": 3}).tensors["y"].shape == (3, 2)


def test_unknown_dimension_says_how_to_set_it() -> None:
    refused(relu((1, "height")), "'height'", "axis 1 of input 'x'", "--dim height=VALUE")
    refused(relu((1, None)), "--dim x:1=VALUE")
    refused(relu(("seq", 2)), "--dim seq=VALUE")
    assert import_onnx(relu((1, "height")), dims={"height": 5}).tensors["y"].shape == (1, 5)


def test_dimension_that_does_not_exist() -> None:
    refused(relu(("N", "height")), "'width'", "'N', 'height'", width=3, height=2)
    refused(relu(("N", "height")), "'height' is 0", height=0)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite(bad: float) -> None:
    refused(model([node("Add", "x c")], {"x": (2,)}, constants={"c": np.float32([1, bad])}), "'c'", "NaN or infinite")


def external(folder: Path) -> Path:
    built = model([node("Add", "x c")], {"x": (64,)}, constants={"c": np.ones(64, np.float32)})
    onnx.save(built, folder / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    return folder / "m.onnx"


def test_external_data(tmp_path: Path) -> None:
    path = external(tmp_path)
    assert import_onnx(path).tensors["c"].shape == (64,)
    (tmp_path / "m.bin").unlink()
    refused(path, "m.bin", "'c'", "does not exist")


def test_unsupported_operator_and_attribute() -> None:
    spectrum = model([node("DFT", "x", axis=1)], {"x": (1, 6, 1)}, opset=17, out_shape=[1, 6, 2])
    refused(spectrum, "dft_y", "operator DFT", "--allow-host")
    odd = model([node("Pad", "x p", mode="mirror")], {"x": (3, 4)}, constants={"p": np.array([1, 0, 1, 0])})
    refused(odd, "pad_y", "mode=mirror", "reflect, edge or wrap would work", "--allow-host")


def test_refusal_is_an_unsupported_error() -> None:
    with pytest.raises(UnsupportedError):
        import_onnx(model([node("DFT", "x", axis=1)], {"x": (1, 6, 1)}, opset=17, out_shape=[1, 6, 2]))


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64])
def test_other_element_types_are_computed_in_32_bits(kind: int) -> None:
    """The graph holds float32 or int32 and remembers what the model's own types are."""
    graph = import_onnx(model([node("Neg", "x")], {"x": (2,)}, kind=kind, out_kind=kind))
    assert {t.dtype for t in graph.tensors.values()} <= {"float32", "int32"}
    assert set(graph.io_types) == {"x", "y"}


def test_an_output_that_depends_on_no_input_is_written_all_the_same() -> None:
    built = model([node("Relu", "x"), node("Neg", "c", "k")], {"x": (2,)}, ("y", "k"), {"c": np.ones(2, np.float32)})
    graph = import_onnx(built)
    assert {layer.outputs[0]: layer.op for layer in graph.layers} == {"y": "relu", "k": "map"}


def test_host_node_that_nobody_reads_is_dropped() -> None:
    nodes = [node("Relu", "x", "y"), node("DFT", "x", "e", axis=1)]
    assert [layer.op for layer in check(model(nodes, {"x": (1, 8, 1)}, opset=17), allow_host=True).layers] == ["relu"]


def test_host_layer_runs_the_node_with_its_constants() -> None:
    """What no layer expresses is kept whole, between layers that are lowered."""
    nodes = [node("Relu", "x", "a"), node("DFT", "a n", "b", axis=1), node("Neg", "b")]
    built = model(nodes, {"x": (1, 4, 1)}, constants={"n": np.int64(6)}, opset=17, out_shape=[1, 6, 2])
    graph = check(built, allow_host=True)
    assert [layer.op for layer in graph.layers] == ["relu", "host", "mul"]
    host = graph.layers[1]
    assert host.attrs["op_type"] == "DFT"
    assert host.inputs == ("a",)
    assert "operator DFT" in host.attrs["reason"]
    alone = onnx.load_from_string(host.attrs["model"])
    onnx.checker.check_model(alone, full_check=True)


def test_what_the_host_cannot_run_is_refused() -> None:
    strange = model([node("Strange", "x", domain="com.microsoft")], {"x": (2, 3)}, out_shape=[2, 3])
    with pytest.raises(UnsupportedError, match=r"strange_y.*com.microsoft.*the host cannot"):
        import_onnx(strange, allow_host=True)


def test_initializers_may_also_be_inputs() -> None:
    built = model([node("Add", "x c")], {"x": (2,), "c": (2,)}, constants={"c": np.ones(2, np.float32)})
    assert import_onnx(built).inputs == ("x",)


def test_constants_as_nodes() -> None:
    sevens = numpy_helper.from_array(np.float32([7]))
    nodes = [
        helper.make_node("Constant", [], ["a"], value_floats=[1.0, 2.0]),
        helper.make_node("Constant", [], ["b"], value_float=3.0),
        helper.make_node("Constant", [], ["n"], value_ints=[2]),
        helper.make_node("Constant", [], ["one"], value_int=1),
        helper.make_node("ConstantOfShape", ["n"], ["c"], value=sevens),
        helper.make_node("Constant", [], ["d"], value=numpy_helper.from_array(np.float32([5, 6]))),
        node("Sum", "x a b c d", "s"),
        node("Unsqueeze", "s axis", "y"),
        helper.make_node("Concat", ["one"], ["unused"], axis=0),
    ]
    del nodes[-1]
    graph = check(model(nodes, {"x": (2,)}, constants={"axis": np.array([0])}))
    assert {layer.op for layer in graph.layers} == {"add", "reshape"}


def test_shape_arithmetic_vanishes() -> None:
    """The chains that exporters write around a flatten or a resize leave one reshape."""
    consts = {"zero": np.int64(0), "axis": np.array([0]), "minus": np.array([-1]), "half": np.float32(0.5)}
    nodes = [
        node("Shape", "x", "sh"),
        node("Gather", "sh zero", "n"),
        node("Unsqueeze", "n axis", "n1"),
        node("Size", "x", "size"),
        node("Cast", "size", "f", to=TensorProto.FLOAT),
        node("Mul", "f half", "h"),
        node("Floor", "h", "fl"),
        node("Cast", "fl", "hi", to=TensorProto.INT64),
        node("Unsqueeze", "hi axis", "h1"),
        node("Concat", "n1 h1 minus", "goal", axis=0),
        node("Reshape", "x goal"),
    ]
    built = model(nodes, {"x": ("N", 3, 4)}, constants=consts, out_shape=["a", "b", "c"])
    graph = check(built)
    assert [layer.op for layer in graph.layers] == ["reshape"]
    assert graph.tensors["y"].shape == (1, 6, 2)


def test_local_functions_are_inlined() -> None:
    opsets = [helper.make_opsetid("", 13)]
    function = helper.make_function("mine", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], opsets)
    built = model([node("Twice", "x", domain="mine")], {"x": (2,)}, out_shape=[2])
    built.functions.append(function)
    built.opset_import.append(helper.make_opsetid("mine", 1))
    graph = import_onnx(built)
    x = {"x": np.float32([1, 2])}
    np.testing.assert_array_equal(execute(graph, x)["y"], run_ort(built, x)["y"])
