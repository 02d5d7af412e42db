"""Write the API reference from the docstrings: `python -m experiments.docs`.

One page a package, with a search over all of them; open index.html in the folder. What is shown is
what each package names in its `__all__`.
"""
