"""Write what the models say into a Markdown page: `python -m processor.settings docs/configuration.md`."""

import sys
from pathlib import Path

from processor.settings.reference import filled

page = Path(sys.argv[1])
page.write_text(filled(page.read_text(encoding="utf-8")), encoding="utf-8")
