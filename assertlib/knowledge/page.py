"""
A survey as an HTML page: a map of the areas, coloured by status, and the trend over the years.
"""

from __future__ import annotations

from .._text import html_page
from .survey import Survey
from .survey_text import LIMITS, Trend, as_dict


def as_html(survey: Survey, trend: Trend = ()) -> str:
    """Render the page of a survey, with the counts at earlier days in *trend*."""
    data = {**as_dict(survey, trend), "limits": [text.removeprefix("- ") for text in LIMITS]}
    return html_page.render(__package__, "survey.html", data)
