"""Built-in post-processors: one file each, each a name and a `build` that checks its settings.

Every step appends its name to `Prediction.steps`, also where it changes nothing else. An abstained
prediction keeps its figures: only the answer is withheld.
"""
