"""Letters that look alike in other scripts: what a reader takes for the same word and a tokenizer does not.

Source: Unicode Technical Standard 39, confusables; the pairs whose glyphs are the same in most typefaces.
"""

from __future__ import annotations

LOOKALIKES: dict[str, str] = {
    "a": "\u0430",  # cyrillic small letter a
    "c": "\u0441",  # cyrillic small letter es
    "e": "\u0435",  # cyrillic small letter ie
    "h": "\u04bb",  # cyrillic small letter shha
    "i": "\u0456",  # cyrillic small letter byelorussian-ukrainian i
    "j": "\u0458",  # cyrillic small letter je
    "o": "\u043e",  # cyrillic small letter o
    "p": "\u0440",  # cyrillic small letter er
    "s": "\u0455",  # cyrillic small letter dze
    "x": "\u0445",  # cyrillic small letter ha
    "y": "\u0443",  # cyrillic small letter u
    "A": "\u0410",  # cyrillic capital letter a
    "B": "\u0412",  # cyrillic capital letter ve
    "C": "\u0421",  # cyrillic capital letter es
    "E": "\u0415",  # cyrillic capital letter ie
    "H": "\u041d",  # cyrillic capital letter en
    "I": "\u0406",  # cyrillic capital letter byelorussian-ukrainian i
    "K": "\u041a",  # cyrillic capital letter ka
    "M": "\u041c",  # cyrillic capital letter em
    "N": "\u039d",  # greek capital letter nu
    "O": "\u041e",  # cyrillic capital letter o
    "P": "\u0420",  # cyrillic capital letter er
    "S": "\u0405",  # cyrillic capital letter dze
    "T": "\u0422",  # cyrillic capital letter te
    "X": "\u0425",  # cyrillic capital letter ha
    "Y": "\u03a5",  # greek capital letter upsilon
    "Z": "\u0396",  # greek capital letter zeta
}
"""Latin letter → the Cyrillic or Greek one that looks like it."""
