"""Chooses one of the answers of the train rows with an encoder tuned for the choice, and fills its slots.

For texts whose answers come back, as queries and standard replies do.
"""

from __future__ import annotations

from tunesmith.training.systems import system
from tunesmith.training.templates import TemplateSystem

system("template_tuned")(TemplateSystem("template_tuned", "tuned", chooser="contrastive"))
