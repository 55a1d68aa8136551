"""`write`: from a template of this folder and what it shows to the text of an HTML file."""

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def write(template: str, **shown: Any) -> str:
    """Fill a template that extends ``page.html``.

    Parameters
    ----------
    template : str
        The name of its file in this folder.
    **shown : Any
        What the template names. Texts are escaped, and a name that is missing is an error.

    Returns
    -------
    str
        The same for the same template and values.
    """
    return _environment().get_template(template).render(shown)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FunctionLoader, StrictUndefined

    folder = resources.files("convergence_jax.report")
    return Environment(
        loader=FunctionLoader(lambda name: folder.joinpath(name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        newline_sequence="\n",
    )
