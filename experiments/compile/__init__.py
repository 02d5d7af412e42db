r"""Compile a run for accelerators that are not there: `python -m experiments.compile --target T`.

The flags are those of `experiments.run`, and of known data sets the sizes do: none is read.

  python -m experiments.compile --target tpu:v5e:2x2 --data.name cifar10 --network.name resnet18 \
      --network.dtype bfloat16 --methods natmu mumis --batch 256 --out runs/compile

XLA's compilers for GPUs and TPUs run on any machine. What they make of the very programs of a run
is described: operations and bytes for each image, memory, collectives, convolutions by window, and
the least time that the chip's published figures allow. Nothing is executed. What is compiled is
kept in the folder: the same command goes on where it was cut off.
"""
