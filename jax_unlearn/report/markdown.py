"""Text as Markdown."""

import re


def escape(text: object) -> str:
    """Make text stand for itself on one line of Markdown, in a table cell as well."""
    return re.sub(r"([\\`*_\[\]<>|#~$&])", r"\\\1", " ".join(str(text).split()))
