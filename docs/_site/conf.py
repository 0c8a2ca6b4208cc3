"""The documentation's site; `make docs` builds it with `build.py`."""

project = "assertlib"
author = "the authors of assertlib"
copyright = "the authors of assertlib"

extensions = ["myst_parser", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
nitpicky = True
copybutton_prompt_text = "$ "
copybutton_only_copy_prompt_lines = True

smartquotes = False

html_theme = "furo"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_title = "assertlib"
html_show_sphinx = False
html_copy_source = False
html_theme_options = {"navigation_with_keys": True}
suppress_warnings = ["myst.header"]
