"""Leave out what WordNet itself calls a slur."""

import re
from collections.abc import Sequence

from text_mix.wordnet import Synset

MARK = re.compile(r"\bslur\b|offensive (term|name|word)|\(\w* ?offensive|disparag|derogat|obscene")


def pattern(synsets: Sequence[Synset]) -> re.Pattern[str]:
    """Matches the texts that say of a word that it insults, or have one that does nothing else."""
    marked = {synset.key for synset in synsets if MARK.search(synset.gloss)}
    insults = {word.lower() for synset in synsets if synset.key in marked for word in synset.words}
    insults -= {
        word.lower() for synset in synsets if synset.key not in marked for word in synset.words
    }
    words = "|".join(re.escape(word) for word in sorted(insults))
    return re.compile(rf"{MARK.pattern}|\b({words})s?\b", re.IGNORECASE)
