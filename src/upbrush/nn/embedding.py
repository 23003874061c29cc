"""Face embeddings as a loss: MobileFaceNet read from its ONNX file, so that gradients pass through it.

After "MobileFaceNets: Efficient CNNs for Accurate Real-Time Face Verification on Mobile Devices" (Chen et al., CCBR
2018); the file is the one that measures identity (`measure.faces`).
"""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from upbrush.errors import WeightsError
from upbrush.measure.faces import CROP_PX, DEVIATION, FILES, MEAN


class FaceEmbedding(nn.Module):
    """Aligned faces to unit vectors. Frozen. graph: an onnx.GraphProto of convolutions, rectifiers and sums.

    Raises WeightsError for a graph of other operations.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, graph: Any):
        super().__init__()
        from onnx.numpy_helper import to_array

        stored = {tensor.name: torch.from_numpy(to_array(tensor).copy()) for tensor in graph.initializer}
        self.convs = nn.ModuleDict()
        self.plan: list[tuple[str, list[str], str]] = []  # operation, what it takes, what it gives
        for node in graph.node:
            if node.op_type in ("Constant", "Reshape"):
                continue  # bounds that every Clip here shares, and the shape at the end
            if node.op_type not in ("Conv", "Clip", "Relu", "Add"):
                raise WeightsError(f"{FILES['embedding']}: has a {node.op_type}, which upbrush does not train through")
            if node.op_type == "Conv":
                weight, bias = stored[node.input[1]], stored[node.input[2]]
                told = {attribute.name: attribute for attribute in node.attribute}
                stride, pad, group = told["strides"].ints[0], told["pads"].ints[0], told["group"].i
                wide = weight.shape[1] * group
                conv = nn.Conv2d(wide, len(weight), weight.shape[2], stride, pad, groups=group)
                conv.load_state_dict({"weight": weight, "bias": bias})
                self.convs[node.output[0].replace(".", "_")] = conv
            inputs = list(node.input[: 2 if node.op_type == "Add" else 1])
            self.plan.append((node.op_type, inputs, node.output[0]))
        self.register_buffer("mean", torch.tensor(MEAN).float().view(1, 3, 1, 1))
        self.register_buffer("deviation", torch.tensor(DEVIATION).float().view(1, 3, 1, 1))
        self.requires_grad_(False)
        self.eval()

    def forward(self, pictures: Tensor, faces: Tensor) -> Tensor:
        """pictures: (B, 3, H, W) in [0, 1]; faces: (B, 2, 3), from the aligned crop to the picture, as `affine_grid`
        takes them. Returns (B, 128) of length 1, float32.
        """  # noqa: D205
        if not len(pictures):
            return pictures.new_zeros(0, 128)
        with torch.autocast(pictures.device.type, enabled=False):  # bfloat16 alone costs a cosine .003
            return self._embedded(pictures.float(), faces)

    def _embedded(self, pictures: Tensor, faces: Tensor) -> Tensor:
        grid = F.affine_grid(faces, [len(pictures), 3, CROP_PX, CROP_PX], align_corners=False)
        crops = F.grid_sample(pictures, grid, align_corners=False)
        x = (crops - self.mean) / self.deviation
        known = {"input0": x}
        for operation, inputs, output in self.plan:
            x = known[inputs[0]]
            if operation == "Conv":
                x = self.convs[output.replace(".", "_")](x)
            elif operation == "Clip":
                x = F.relu6(x)
            elif operation == "Relu":
                x = F.relu(x)
            else:
                x = x + known[inputs[1]]
            known[output] = x
        return F.normalize(x.flatten(1))


def load(folder: Path) -> FaceEmbedding:
    """Read the embedding of a folder of face networks. Raises WeightsError where it is missing or cannot be read."""
    import onnx
    from google.protobuf.message import DecodeError

    path = folder / FILES["embedding"]
    try:
        model = onnx.load(str(path))
    except (OSError, ValueError, DecodeError) as error:
        raise WeightsError(f"{path}: cannot be read ({error}); give the folder of face networks") from None
    return FaceEmbedding(model.graph)
