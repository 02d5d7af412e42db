"""What an experiment is: frozen settings that a command line, a preset or a file can give."""

import dataclasses

from jax_unlearn.wording import listed

from .original import Data, Network, Training

USUAL_METHODS = (
    "finetune",
    "gradient_ascent",
    "neggrad_plus",
    "amnesiac",
    "bad_teacher",
    "salun",
    "natmu",
    "mumis",
    "mumis_last_layer",
)
"""What a run compares where nothing is said: the two papers' methods and their usual baselines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Experiment:
    """Train originals and oracles, unlearn, audit.

    Attributes:
      data: the data set.
      network: the network.
      training: the recipe of originals and oracles.
      requests: what to forget, each an experiment of its own on the same originals: class:3,
        class:1,2, class:rocket, subclass:rocket, random:0.1, random:500, hardest:0.1,
        memorization:high,0.1, entangled:high,0.1, worst:0.1, ids:PATH (.npy, .txt or .json); what
        was wrong with the data, and originals of that data: confused:3,5,0.5, backdoor:0,0.1,
        duplicated:0.1; one after another: class:3-then-class:5; groups of rising memorization:
        random:0.1,group=1/3.
      methods: names from the README's table, or FILE.py:NAME of your own; or pkg.module:NAME; a
        method for each step of a sequence: finetune-then-salun.
      seeds: of training; one original and one run of each method per seed.
      request_seeds: of what requests draw at random; one that names no seed is made with each of
        these, as a request of its own; none takes seed 0.
      unlearning_seeds: of unlearning; every original is unlearned with each of these; none takes
        the original's own.
      oracles: how many models each request retrains; of seeds 0, 1 and so on; some are the
        reference and the others are held out; 0 takes twice the number of seeds, at least 4, fewer
        than which give no verdict.
      hyperparameters: a .json file that a search wrote (`python -m experiments.search`), or the
        name of one that ships in experiments/configs; empty takes each method's own defaults.
      set: single hyperparameters, METHOD.NAME=VALUE, over everything else and after those of the
        preset; with a prefix such as class/natmu.reinit_linear=true only for requests of that kind.
      show_defaults: also show methods at their defaults, where they collapsed at them in the
        search, as rows of their own.
      skip_unfit: leave out methods that cannot take a request; their rows there say why. Otherwise
        nothing is run.
      cpu_devices: virtual devices that share a CPU's cores; 0 leaves JAX's own number. Many
        models at a time train faster on several, a batch shared among them slower; accelerators
        ignore it.
      loop: auto, scan or python.
      svc_examples: examples of each side that train the SVC attack; 0 takes all, as published,
        which costs minutes per model beyond ten thousand.
    """

    data: Data = dataclasses.field(default_factory=Data)
    network: Network = dataclasses.field(default_factory=Network)
    training: Training = dataclasses.field(default_factory=Training)
    requests: tuple[str, ...] = ("random:0.1",)
    methods: tuple[str, ...] = USUAL_METHODS
    seeds: tuple[int, ...] = (0, 1, 2)
    request_seeds: tuple[int, ...] = ()
    unlearning_seeds: tuple[int, ...] = ()
    oracles: int = 0
    hyperparameters: str = ""
    set: tuple[str, ...] = ()
    show_defaults: bool = False
    skip_unfit: bool = False
    cpu_devices: int = 0
    loop: str = "auto"
    svc_examples: int = 2000

    @property
    def runs(self) -> int:
        """How many models a method makes for a request."""
        return len(self.seeds) * max(1, len(self.unlearning_seeds))

    @property
    def varied(self) -> str:
        """Which seeds the models of a row differ in, as a table says it."""
        drawn = f"each with unlearning seeds {listed([*map(str, self.unlearning_seeds)])}"
        return (
            f"training seeds {listed([*map(str, self.seeds)])}, "
            f"{drawn if self.unlearning_seeds else 'each unlearned with the same seed'}; "
            "one draw of the request"
        )

    @property
    def keeps_memory(self) -> bool:
        """Whether a CPU keeps memory between steps, which takes the calling thread for each.

        Steps on digits are too short to gain by it, and lose the time in which Python prepares the
        next one.
        """
        return self.data.name != "digits"
