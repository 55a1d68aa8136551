"""How the documentation is built; every warning is an error there (``sphinx-build -W``)."""

import os
from importlib.metadata import version as installed

project = "convergence_jax"
author = "The convergence_jax authors"
copyright = author
release = version = installed("convergence-jax")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinxcontrib.bibtex",
]
exclude_patterns = ["_build", "api/generated/**.md"]
templates_path = ["_templates"]
source_suffix = {".rst": "restructuredtext", ".md": "myst-nb"}

# Pages with code run while they are built, from nothing, and an error in one of them fails the build.
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_execution_show_tb = True
nb_merge_streams = True
os.environ.setdefault("JAX_PLATFORMS", "cpu")
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_member_order = "bysource"
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

bibtex_bibfiles = ["references.bib"]
bibtex_reference_style = "author_year"

html_theme = "pydata_sphinx_theme"
html_title = "convergence_jax"
html_theme_options = {
    "show_prev_next": False,
    "navigation_with_keys": False,
    "logo": {"text": "convergence_jax"},
}
html_sidebars = {name: [] for name in ("index", "quickstart", "references")}
html_show_sourcelink = False
html_context = {"default_mode": "light"}
