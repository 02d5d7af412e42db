"""A training step of the same three-stage ResNet in PyTorch; a script, for a Python of its own."""

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


def resnet(width: int, blocks: int) -> nn.Module:
    """Stem, three stages of ``blocks`` blocks, linear layer."""
    layers = [nn.Conv2d(3, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    before = width
    for stage in range(3):
        for block in range(blocks):
            after = width * 2**stage
            layers.append(Block(before, after, 2 if stage and not block else 1))
            before = after
    layers += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, 10)]
    return nn.Sequential(*layers)


def main() -> None:
    """Read batch, side, network, layout, threads and seconds; print the least time of a step."""
    given = json.load(sys.stdin)
    torch.set_num_threads(given["threads"])
    layout = torch.channels_last if given["channels_last"] else torch.contiguous_format
    network = resnet(given["width"], given["blocks"]).to(memory_format=layout)
    shape = (given["batch"], 3, given["side"], given["side"])
    images = torch.rand(shape).to(memory_format=layout)
    labels = torch.randint(0, 10, (given["batch"],))
    optimizer = torch.optim.SGD(network.parameters(), 0.1, momentum=0.9, weight_decay=5e-4)
    times: list[float] = []
    end = time.perf_counter() + given["seconds"]
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        optimizer.step()
        times.append(time.perf_counter() - start)
    print(json.dumps({"seconds": min(times[1:]), "version": torch.__version__}))


if __name__ == "__main__":
    main()
