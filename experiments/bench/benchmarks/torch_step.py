"""A step of training or MU-Mis of the same ResNet in PyTorch; a script, for a Python of its own."""

import json
import sys
import time

import torch
from torch import nn


class Block(nn.Module):
    """Two 3x3 convolutions around a shortcut."""

    def __init__(self, before: int, after: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(after)
        self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(after)
        self.short = nn.Identity()
        if stride != 1 or before != after:
            conv = nn.Conv2d(before, after, 1, stride, bias=False)
            self.short = nn.Sequential(conv, nn.BatchNorm2d(after))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map [B, before, H, W] to [B, after, H / stride, W / stride]."""
        y = torch.relu(self.bn1(self.conv1(x)))
        return torch.relu(self.bn2(self.conv2(y)) + self.short(x))


def resnet(channels: int, width: int, stages: list[int]) -> nn.Module:
    """Stem, stages of so many blocks, linear layer."""
    layers = [nn.Conv2d(channels, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage, blocks in enumerate(stages):
        for block in range(blocks):
            after = width * 2**stage
            layers.append(Block(before, after, 2 if stage and not block else 1))
            before = after
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10)]
    return nn.Sequential(*layers)


def suppression(network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """MU-Mis' loss: how much more an image's pixels move its true class than another."""
    images = images.detach().requires_grad_()
    logits = network(images)
    squares = []
    for classes in (labels, (labels + 1) % logits.shape[1]):
        chosen = logits.gather(1, classes[:, None]).sum()
        (gradient,) = torch.autograd.grad(chosen, images, create_graph=True)
        squares.append(gradient.float().square().flatten(1).sum(1))
    return (squares[0] - squares[1]).mean()


def main() -> None:
    """Read what to time, see `experiments.bench`; print the least time of a step."""
    given = json.load(sys.stdin)
    torch.set_num_threads(given["threads"])
    device = torch.device(given.get("device", "cpu"))
    # As JAX does: float32 convolutions and products in TF32.
    torch.set_float32_matmul_precision("high")
    torch.backends.cudnn.benchmark = True
    layout = torch.channels_last if given["channels_last"] else torch.contiguous_format
    network = resnet(given["channels"], given["width"], given["blocks"])
    network = network.to(device, memory_format=layout)
    shape = (given["batch"], given["channels"], given["side"], given["side"])
    images = torch.rand(shape, device=device).to(memory_format=layout)
    labels = torch.randint(0, 10, (given["batch"],), device=device)
    compiled = torch.compile(network) if given["compiled"] else network
    if suppresses := given["method"] == "MU-Mis":
        # Statistics are those of the original; at a rate at which it does not run away.
        network.eval()
        optimizer = torch.optim.SGD(network.parameters(), 1e-8, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        optimizer.zero_grad()
        with torch.autocast(device.type, torch.bfloat16, enabled=given["bfloat16"]):
            if suppresses:
                loss = suppression(compiled, images, labels)
            else:
                loss = nn.functional.cross_entropy(compiled(images), labels)
        loss.backward()
        optimizer.step()

    for _ in range(3):
        step()
    _wait(device)
    # On a GPU steps run behind the host: only many together can be timed.
    stretch = 1 if device.type == "cpu" else 20
    times: list[float] = []
    end = time.perf_counter() + given["seconds"]
    while len(times) < 2 or time.perf_counter() < end:
        start = time.perf_counter()
        for _ in range(stretch):
            step()
        _wait(device)
        times.append((time.perf_counter() - start) / stretch)
    print(json.dumps({"seconds": min(times), "version": torch.__version__}))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


if __name__ == "__main__":
    main()
