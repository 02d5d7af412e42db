"""Search every method's hyperparameters with equal effort: `python -m experiments.search`.

Each method gets the same number of trials on each request, over what it declares to be worth
searching: first its default setting, then settings spread evenly over its ranges, then those
that a sampler (TPE) expects most of. Trials are run in groups, on all devices, and those that
differ in numbers alone share one compiled program.

The objective is the average gap to the oracle over RA, FA and TA, averaged over seeds that no
table uses. A setting that collapses, or that leaves the forget set known on any seed, is not
eligible, however small its gap; a method without an eligible setting is reported as failed.

Data, requests, network and methods are given as to `experiments.run`; its preset or config may be
given, too, and its bank, whose models are shared. Runs are kept in the folder: a search that was
cut off goes on, and ends as if it had not been.
"""
