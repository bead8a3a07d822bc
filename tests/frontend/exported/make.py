"""Write the files beside this one: small torch modules, as both of torch's ONNX exporters give them.

Made with torch 2.13.0, torchvision 0.28.0, onnx 1.23.2, onnxscript 0.7.2 and onnxruntime 1.31.1; no test runs this.

    python tests/frontend/exported/make.py [NAME ...]
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
import torchvision
from onnxruntime import quantization
from torch import Tensor, nn
from torch.nn import functional

HERE = Path(__file__).parent


class Call(nn.Module):
    """A function as a module, with submodules of its own."""

    def __init__(self, function: Callable[..., Any], *modules: nn.Module) -> None:
        super().__init__()
        self.function = function
        self.parts = nn.ModuleList(modules)

    def forward(self, *inputs: Tensor) -> Any:
        return self.function(*self.parts, *inputs)


class ResidualBlock(nn.Module):
    """Two convolutions with batch normalization beside a strided shortcut."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.b = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8))
        self.shortcut = nn.Sequential(nn.Conv2d(3, 8, 1, 2, bias=False), nn.BatchNorm2d(8))
        self.head = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        y = functional.relu(self.b(self.a(x)) + self.shortcut(x))
        return self.head(functional.adaptive_avg_pool2d(y, 1).flatten(1))


class Encoder(nn.Module):
    """Embeddings with positions and one encoder layer of a transformer."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(10, 8), nn.Embedding(6, 8)
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.size(1)).unsqueeze(0)
        return self.layer(self.words(tokens) + self.places(places))


class SelfAttention(nn.Module):
    """Attention of a sequence to itself."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.heads(x, x, x, attn_mask=self.mask(x), need_weights=False)
        return y + x

    def mask(self, x: Tensor) -> Tensor | None:
        return None


def causal(length: int) -> Tensor:
    """Return what is added to scores to hide each place from those before it."""
    return torch.triu(torch.full((length, length), float("-inf")), diagonal=1)


def hidden(q: Tensor) -> Tensor:
    """Return which places a query does not see, by its first number; it always sees its own."""
    return q[..., :1] + torch.eye(q.size(2)) * 9 < 0


class CausalAttention(SelfAttention):
    """The same with a mask made anew."""

    def mask(self, x: Tensor) -> Tensor:
        return causal(x.size(1))


class HeldMask(SelfAttention):
    """The same with a mask held as a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("held", causal(6))

    def mask(self, x: Tensor) -> Tensor:
        return self.get_buffer("held")[: x.size(1), : x.size(1)]


@torch.jit.script
def repeated(x: Tensor, turns: int) -> Tensor:
    """Return a tensor halved some times, then added to itself if it has two axes."""
    for _ in range(turns):
        x = torch.relu(x) * 0.5
    if x.dim() == 2:
        x = x + x
    return x


class LastStep(nn.Module):
    """A recurrent layer and a linear one on its last step."""

    def __init__(self, layer: nn.Module, width: int) -> None:
        super().__init__()
        self.layer, self.head = layer, nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y, _ = self.layer(x)
        return self.head(y[:, -1])


@dataclass(frozen=True)
class Case:
    """A module, its inputs, and the axes of the first input that stay open."""

    module: nn.Module
    inputs: tuple[Tensor, ...]
    open: Mapping[int, str] = field(default_factory=dict)
    opset: int = 18


def rand(*shape: int) -> Tensor:
    return torch.rand(*shape)


def call(function: Callable[..., Any], *inputs: Tensor, parts: tuple[nn.Module, ...] = (), **more: Any) -> Case:
    return Case(Call(function, *parts), inputs, **more)


BATCH = {0: "batch"}


def convolutions() -> dict[str, Case]:
    """Return networks of convolutions, pooling and resizing."""
    x = rand(2, 3, 8, 8)
    return {
        "resnet_block": Case(ResidualBlock(), (x,), BATCH),
        "separable": Case(
            nn.Sequential(
                nn.Conv2d(3, 8, 1), nn.Hardswish(), nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.ReLU6(), nn.Conv2d(8, 4, 1)
            ),
            (x,),
        ),
        "conv1d": Case(nn.Sequential(nn.Conv1d(3, 4, 3, dilation=2), nn.SiLU(), nn.MaxPool1d(2)), (rand(1, 3, 16),)),
        "conv3d": Case(nn.Sequential(nn.Conv3d(2, 3, 3, padding=1), nn.ReLU()), (rand(1, 2, 4, 6, 6),)),
        "decoder": Case(
            nn.Sequential(
                nn.ConvTranspose2d(3, 4, 3, 2, 1, output_padding=1),
                nn.ReLU(),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            ),
            (x,),
        ),
        "upsample_corners": Case(nn.Upsample(size=(13, 11), mode="bilinear", align_corners=True), (x,)),
        "upsample_nearest": Case(nn.Upsample(scale_factor=2.0, mode="nearest"), (x,)),
        "upsample_bicubic": Case(nn.Upsample(scale_factor=1.5, mode="bicubic", align_corners=False), (x,)),
        "resize_like": call(
            lambda x, y: functional.interpolate(x, y.shape[2:], mode="bilinear", align_corners=False) + y,
            rand(2, 3, 4, 5), x, open={0: "batch", 2: "height", 3: "width"},
        ),
        "antialias": call(
            lambda x: functional.interpolate(x, (3, 5), mode="bilinear", align_corners=False, antialias=True), x
        ),
        "pixel_shuffle": Case(nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.PixelShuffle(2)), (x,), BATCH),
        "pixel_unshuffle": Case(nn.PixelUnshuffle(2), (x,)),
        "adaptive_pool": call(lambda x: (functional.adaptive_avg_pool2d(x, (4, 2)), x.mean((2, 3), keepdim=True)), x),
        "adaptive_pool_uneven": call(lambda x: functional.adaptive_avg_pool2d(x, (3, 5)), x),
        "pools": call(
            lambda x: (functional.max_pool2d(x, 3, 2, ceil_mode=True), functional.avg_pool2d(x, 3, 2, 1)), x
        ),
        "reflect": call(lambda x: functional.pad(x, (1, 2, 3, 1), mode="reflect"), x),
        "grid_sample": call(
            lambda x, g: functional.grid_sample(x, torch.tanh(g), align_corners=False), x, rand(2, 5, 6, 2), opset=20
        ),
        "unfold": call(lambda x: functional.unfold(x, 3, padding=1, stride=2), x),
        "fold": call(lambda x: functional.fold(x, (8, 8), 2, stride=2), rand(1, 12, 16)),
    }  # fmt: skip


def norms() -> dict[str, Case]:
    """Return normalizations and activations."""
    x = rand(2, 4, 6, 6)
    return {
        "instance_norm": Case(nn.InstanceNorm2d(4, affine=True), (x,)),
        "group_norm": Case(nn.GroupNorm(2, 4), (x,), BATCH),
        "layer_norm": Case(nn.LayerNorm(8), (rand(2, 5, 8),), opset=16),
        "layer_norm_fused": Case(nn.LayerNorm(8), (rand(2, 5, 8),), opset=18),
        "rms_norm": Case(nn.RMSNorm(8), (rand(2, 5, 8),)),
        "local_response": Case(nn.LocalResponseNorm(3), (x,)),
        "gelu": Case(nn.Sequential(nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 4), nn.GELU("tanh")), (rand(3, 6),)),
        "mish": Case(nn.Sequential(nn.Conv2d(4, 4, 1), nn.Mish(), nn.PReLU(4), nn.Hardsigmoid()), (x,)),
        "soft": call(lambda x: (functional.log_softmax(x, 1), functional.softplus(x), functional.elu(x - 0.5)), x),
        "reductions": call(
            lambda x: (x.std(1), torch.logsumexp(x, 2), torch.linalg.vector_norm(x, dim=1), x.amax((2, 3)), x.prod(3)),
            x,
        ),
    }


def sequences() -> dict[str, Case]:
    """Return recurrent and attention layers."""
    x = rand(2, 5, 6)
    return {
        "lstm": Case(LastStep(nn.LSTM(6, 4, 2, batch_first=True, bidirectional=True), 8), (x,), BATCH),
        "lstm_states": Case(nn.LSTM(6, 4), (rand(5, 2, 6), (rand(1, 2, 4), rand(1, 2, 4)))),  # type: ignore[arg-type]
        "lstm_single": Case(LastStep(nn.LSTM(6, 4, batch_first=True), 4), (x,)),
        "gru": Case(LastStep(nn.GRU(6, 4, batch_first=True), 4), (x,), BATCH),
        "rnn": Case(LastStep(nn.RNN(6, 4, batch_first=True), 4), (x,)),
        "encoder": Case(Encoder(), (torch.randint(0, 10, (2, 6)),), BATCH),
        "attention": Case(SelfAttention(), (rand(2, 4, 8),)),
        "attention_operator": Case(CausalAttention(), (rand(2, 4, 8),), BATCH, opset=23),
        "attention_causal": Case(CausalAttention(), (rand(2, 4, 8),), BATCH),
        "attention_held": Case(HeldMask(), (rand(2, 4, 8),), BATCH),
        "attention_fill": call(
            lambda q, k: torch.softmax((q @ k.transpose(2, 3)).masked_fill(hidden(q), float("-inf")), -1) @ k,
            rand(1, 2, 4, 6), rand(1, 2, 4, 6),
        ),
        "sdpa": call(
            lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, is_causal=True),
            rand(1, 2, 4, 6), rand(1, 2, 4, 6), rand(1, 2, 4, 6),
        ),
        "sdpa_mask": call(
            lambda q, k, v: functional.scaled_dot_product_attention(q, k, v, attn_mask=~hidden(q)),
            rand(1, 2, 4, 6), rand(1, 2, 4, 6), rand(1, 2, 4, 6),
        ),
        "einsum": call(lambda a, b: torch.einsum("bhid,bhjd->bhij", a, b), rand(1, 2, 4, 6), rand(1, 2, 5, 6)),
    }  # fmt: skip


def shapes() -> dict[str, Case]:
    """Return movements and shape arithmetic."""
    x, linear = rand(2, 3, 4), nn.Linear(12, 4)
    return {
        "flatten": Case(nn.Sequential(nn.Flatten(1), linear), (x,), BATCH),
        "view": call(lambda m, x: m(x.view(x.size(0), -1)), x, parts=(linear,), open=BATCH),
        "slice_steps": call(lambda x: (x[:, ::2, 1:-1], x[:, -2:].flip(2), x[..., 1:4:2]), x),
        "split": call(lambda x: torch.cat([torch.relu(p) for p in x.chunk(2, 2)] + list(x.split([1, 3], 2)), 2), x),
        "unbind": call(lambda x: torch.stack([p * k for k, p in enumerate(x.unbind(1))], 1), x, open=BATCH),
        "roll": call(lambda x: torch.roll(x, (1, -2), (1, 2)), x),
        "tile": call(lambda x: (x.repeat(1, 2, 3), x.repeat_interleave(2, 1)), x),
        "expand": call(
            lambda x: x + torch.arange(x.size(2), dtype=x.dtype).view(1, 1, -1).expand(x.size(0), x.size(1), -1),
            x, open=BATCH,
        ),
        "zeros": call(lambda x: torch.cat([x.new_zeros(x.size(0), 1, 4), torch.ones_like(x)], 1), x, open=BATCH),
        "masked_fill": call(lambda x: x.masked_fill(torch.tril(torch.ones(3, 4)) == 0, -1.0), x),
        "where": call(lambda x, y: torch.where((x > y) & ~(y > 0.7), x, y * 2), x, rand(2, 3, 1)),
        "control": call(lambda x: repeated(x.flatten(1), 3), x),
        "cumsum": call(lambda x: torch.cumsum(x, 1), x),
        "remainder": call(lambda x: torch.remainder(x - 0.5, 0.3) + torch.fmod(x - 0.5, 0.2) + torch.floor(x * 4), x),
        "one_hot": call(lambda t: functional.one_hot(t, 5), torch.randint(0, 5, (2, 3))),
        "clamp": call(lambda x, y: torch.minimum(x.clamp(0.2, 0.8), y) ** 2 + torch.rsqrt(x.abs() + 1), x, rand(4)),
        "baddbmm": call(torch.baddbmm, rand(2, 3, 5), x, rand(2, 4, 5)),
        "rotary": call(
            lambda x: torch.cat([-x[..., x.shape[-1] // 2 :], x[..., : x.shape[-1] // 2]], -1) * torch.cos(x), x
        ),
    }  # fmt: skip


def _put(x: Tensor, values: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1:3] = values
    y[torch.tensor([0, 1]), torch.tensor([2, 0])] = 5.0
    return y


def _detect(boxes: Tensor, scores: Tensor) -> Tensor:
    corners = torch.cat([boxes[:, :2], boxes[:, :2] + boxes[:, 2:].abs()], 1)
    return torchvision.ops.nms(corners, scores, 0.5)  # type: ignore[no-any-return]


def indexing() -> dict[str, Case]:
    """Return gathers, scatters, sorting and boxes."""
    x = rand(2, 3, 4)
    places = torch.randint(0, 3, (2, 2, 4))
    rois = torch.tensor([[0.0, 1, 1, 6, 5], [0, 0, 2, 3, 7]])
    return {
        "gather": call(lambda x: torch.gather(x, 1, places), x),
        "gather_input": call(lambda x, i: torch.gather(x, 1, i), x, places),
        "index_select": call(lambda x: x.index_select(2, torch.tensor([3, 0, 2])), x),
        "scatter": call(lambda x, s: x.scatter(1, places[:, :1], s), x, rand(2, 1, 4)),
        "scatter_add": call(lambda x, s: x.scatter_add(1, places, s), x, rand(2, 2, 4)),
        "index_put": call(_put, x, rand(2, 2, 4)),
        "bool_index": call(lambda x: x[x > 0.5], x),
        "topk": call(lambda x: torch.topk(x, 2, 2), x),
        "sort": call(lambda x: torch.sort(x, 2, descending=True), x),
        "argmax": call(lambda x: (x.argmax(2), x.max(1)), x),
        "roi_align": call(
            lambda x: torchvision.ops.roi_align(x, [rois[:, 1:]], (3, 3), 0.5, 2, aligned=True), rand(1, 2, 8, 8)
        ),
        "nms": call(_detect, rand(6, 4), rand(6)),
    }


def foreign() -> dict[str, Case]:
    """Return what no chip of this kind computes."""
    x = rand(2, 3, 4)
    return {
        "unique": call(lambda x: torch.unique(x), x),
        "volumetric": call(
            lambda x, g: functional.grid_sample(x, g, align_corners=False), rand(1, 2, 3, 3, 3), rand(1, 2, 2, 2, 3),
            opset=20,
        ),
        "spectrum": call(lambda x: torch.view_as_real(torch.fft.rfft(x)), x),
        "determinant": call(torch.det, rand(2, 3, 3)),
        "noise": call(lambda x: x + torch.rand_like(x), x),
    }  # fmt: skip


def cases() -> dict[str, Case]:
    """Return all modules by name, their weights and inputs the same at each call."""
    torch.manual_seed(0)
    return {**convolutions(), **norms(), **sequences(), **shapes(), **indexing(), **foreign()}


def stripped(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model without notes on where its nodes came from."""
    owners: list[Any] = [model, model.graph, *model.graph.node, *model.graph.value_info]
    owners += [*model.graph.input, *model.graph.output, *model.graph.initializer]
    for function in model.functions:
        owners += [function, *function.node, *function.value_info]
    for owner in owners:
        owner.ClearField("metadata_props")
        owner.ClearField("doc_string")
    return model


def trace(case: Case, path: Path) -> None:
    """Write the file that the exporter of TorchScript gives."""
    torch.onnx.export(
        case.module.eval(), case.inputs, path, dynamo=False, opset_version=case.opset, do_constant_folding=False,
        input_names=["x"], dynamic_axes={"x": dict(case.open)},
    )  # fmt: skip


def capture(case: Case, path: Path) -> None:
    """Write the file that the exporter of torch.export gives."""
    first = {axis: torch.export.Dim(name) for axis, name in case.open.items()}
    given: Any = (first, *[{}] * (len(case.inputs) - 1)) if first else None
    if given and isinstance(case.module, Call):
        given = (given,)
    torch.onnx.export(
        case.module.eval(), case.inputs, path, dynamo=True, opset_version=max(case.opset, 18), optimize=False,
        external_data=False, dynamic_shapes=given, verbose=False,
    )  # fmt: skip


def export(name: str, case: Case) -> None:
    """Write a module's files."""
    for kind, write in (("torchscript", trace), ("dynamo", capture)):
        path = HERE / f"{name}.{kind}.onnx"
        try:
            write(case, path)
        except Exception as error:  # whatever an exporter raises: it cannot write this module
            print(f"{path.name}: not exported: {str(error).splitlines()[0]}")
            continue
        onnx.save(stripped(onnx.load(path)), path)


class Samples(quantization.CalibrationDataReader):  # type: ignore[misc]
    """Calibration data: a few random arrays for each input."""

    def __init__(self, model: onnx.ModelProto) -> None:
        draw = np.random.default_rng(0)
        shapes = {i.name: [max(d.dim_value, 1) for d in i.type.tensor_type.shape.dim] for i in model.graph.input}
        self.rows = iter([{n: draw.random(s, np.float32) for n, s in shapes.items()} for _ in range(4)])

    def get_next(self) -> dict[str, Any] | None:
        return next(self.rows, None)


def quantize(name: str) -> None:
    """Write the three forms that onnxruntime's quantizer gives an exported file."""
    exported, source = HERE / f"{name}.torchscript.onnx", HERE / "preprocessed.onnx"
    quantization.quant_pre_process(exported, source, skip_symbolic_shape=True)
    for form in (quantization.QuantFormat.QDQ, quantization.QuantFormat.QOperator):
        path = HERE / f"{name}.{form.name.lower()}.onnx"
        quantization.quantize_static(source, path, Samples(onnx.load(source)), quant_format=form)
        onnx.save(stripped(onnx.load(path)), path)
    path = HERE / f"{name}.dynamic.onnx"
    quantization.quantize_dynamic(source, path)
    onnx.save(stripped(onnx.load(path)), path)
    source.unlink()


QUANTIZED = ("resnet_block", "lstm_single", "attention")


def main(names: list[str]) -> None:
    """Write the files of the modules named, or of all."""
    warnings.simplefilter("ignore")
    for name, case in cases().items():
        if not names or name in names:
            export(name, case)
    for name in QUANTIZED:
        if not names or name in names:
            quantize(name)


if __name__ == "__main__":
    main(sys.argv[1:])
