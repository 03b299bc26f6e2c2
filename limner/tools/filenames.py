"""Decide whether a file's name describes its picture: "crab nebula 2" does, "DSC 0001" does not."""

from __future__ import annotations

import re

_USUAL = """
a an the and of in at on am pm by to with dsc dscn dscf dsci dcim img image images imag imgp mg pic pict picture
pictures photo photos foto fotos bild bilder imagen pxl mvimg vid mov mvi gopr gopro dji wa whatsapp telegram
instagram signal facebook snapchat messenger screenshot screenshots screen shot screencap scan scanned untitled
unnamed unknown noname copy kopie copia edit edited final new old large small big thumb thumbnail preview original
orig full size scaled download downloads file files figure fig frame page slide sam cimg kif hpim sdc gedc dcp pana
lrm lumix rimg xiaomi samsung iphone android camera cam burst pano panorama hdr portrait night cover stitch collage
crop cropped resized received sent export exported jpeg jpg png webp tif tiff heic svg raw
"""
_SAYS_NOTHING = frozenset(_USUAL.split())
_WORD = re.compile(r"[^\W_]+")
_LETTERS = 3  # a shorter word is an initial, a roman numeral or a part of a code
_IDEOGRAPH = re.compile("[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")


def says_something(name: str) -> bool:
    """Whether a file's name, made readable, has a word that is no number, code, or name of a camera or program."""
    for word in _WORD.findall(name.casefold()):
        if _IDEOGRAPH.search(word):
            return True
        if len(word) >= _LETTERS and word.isalpha() and word not in _SAYS_NOTHING:
            return True
    return False
