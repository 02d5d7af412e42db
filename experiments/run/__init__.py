r"""Train, forget, compare with the oracles: `python -m experiments.run --preset NAME --out FOLDER`.

Without a preset the flags describe the experiment, from digits and the methods' own defaults on:

  python -m experiments.run --data.name cifar10 --data-dir DATA --network.name resnet18 \
      --requests class:3 random:0.1 --methods natmu mumis --out runs/mine

The folder holds everything: settings, a bank of all models, and for each request the audit and its
report. A run that was cut off goes on when the same command is given again. With --bank several
runs share their models.
"""
