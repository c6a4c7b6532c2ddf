"""Chooses one of the answers of the train rows with the frozen encoder and n-gram counts, and fills its slots.

For texts whose answers come back, as queries and standard replies do.
"""

from __future__ import annotations

from tunesmith.training.systems import system
from tunesmith.training.templates import TemplateSystem

system("template")(TemplateSystem("template", "untuned", chooser="fusion"))
