"""Sphinx: how these pages are built.

`sphinx-build -W docs FOLDER` builds the site; warnings are errors. Nothing that a page loads comes from the network:
formulas are MathML, the search runs in the browser, pictures are drawn during the build by `docs/gallery/*.py`.
"""

import os
import sys
from pathlib import Path

import matplotlib

import solvers

os.environ.setdefault("OMP_NUM_THREADS", "1")  # the examples are small: a second thread only waits
sys.path.insert(0, str(Path(__file__).parent / "extensions"))
matplotlib.use("agg")

project = "implicitbias"
author = "the implicitbias developers"
version = release = solvers.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "sphinx_click",
    "sphinx_gallery.gen_gallery",
    "myst_parser",
    "claims",
    "mathml",
    "plain_docstrings",
]
exclude_patterns = ["gallery/*.py", "gallery/*.rst", "extensions"]

html_title = "implicitbias"
html_theme = "pydata_sphinx_theme"
html_static_path = ["static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_context = {"default_mode": "auto"}
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "show_toc_level": 2,
    "header_links_before_dropdown": 6,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
}
copyright = author

html_math_renderer = "mathml"
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_heading_anchors = 3

default_role = "py:obj"
highlight_options = {"pycon": {"stripnl": True}}
add_module_names = False
python_maximum_signature_line_length = 88
toc_object_entries_show_parents = "hide"
autodoc_default_options = {
    "members": True,
    "member-order": "bysource",
    "exclude-members": "count, index, set_fit_request, set_score_request",
}
autodoc_typehints = "signature"
autodoc_type_aliases = {name: name for name in ("ArrayLike", "Array", "ComplexArray")}
autodoc_preserve_defaults = True
napoleon_numpy_docstring = False
napoleon_custom_sections = ["Reference"]
napoleon_use_ivar = True
napoleon_use_rtype = False
napoleon_preprocess_types = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "examples",
    "filename_pattern": r"\.py$",
    "within_subsection_order": "FileNameSortKey",
    "image_srcset": ["2x"],
    "show_memory": False,
    "min_reported_time": 10**6,  # no table of run times on the pages
    "download_all_examples": False,
    "show_signature": False,
    "remove_config_comments": True,
    "abort_on_example_error": True,
    "parallel": False,
    "write_computation_times": False,
}
suppress_warnings = ["config.cache"]
