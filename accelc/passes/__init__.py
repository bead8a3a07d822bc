"""Passes over the layer graph: each one function from Graph to Graph, verified after each."""

from __future__ import annotations

from accelc.graph import Graph, verify
from accelc.passes.align_quantization import align_quantization
from accelc.passes.fold_batch_norm import fold_batch_norm
from accelc.passes.fold_bias import fold_bias
from accelc.passes.fold_pad import fold_pad
from accelc.passes.follow_real import follow_real
from accelc.passes.fuse_activation import fuse_activation
from accelc.passes.fuse_maps import fuse_maps
from accelc.passes.hoist_joints import hoist_joints
from accelc.passes.lower_rank import lower_rank
from accelc.passes.merge_moves import merge_moves
from accelc.passes.quantize_bias import quantize_bias
from accelc.passes.remove_dead import remove_dead
from accelc.passes.remove_noops import remove_noops
from accelc.passes.split_sliced_conv import split_sliced_conv
from accelc.passes.spread_quantization import spread_quantization

__all__ = ["PASSES", "align_quantization", "fuse_maps", "quantize_bias", "simplify", "spread_quantization"]

# In this order: what hides a pattern goes first, what other passes could remove again comes last.
PASSES = (
    remove_noops,
    hoist_joints,
    fold_batch_norm,
    fold_bias,
    fold_pad,
    split_sliced_conv,
    fold_batch_norm,
    fuse_activation,
    spread_quantization,
    align_quantization,
    hoist_joints,
    remove_noops,
    merge_moves,
    lower_rank,
    remove_noops,
    merge_moves,
    remove_dead,
    remove_noops,
    follow_real,
    fuse_maps,
    quantize_bias,
)


def simplify(graph: Graph) -> Graph:
    """Return an equal graph of fewer layers: folded, fused, and without what does nothing."""
    for step in PASSES:
        graph = verify(step(graph))
    return graph
