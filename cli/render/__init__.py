"""How results look to people: tables, trees and bars; `--json` needs none of this."""
