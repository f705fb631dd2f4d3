"""Scripts and look-alikes of characters, by Unicode; written by docs/generate_unicode.py.

Derived from data files that are (c) Unicode, Inc., and come under the Unicode License:
https://www.unicode.org/license.txt
"""

# ruff: noqa: E501

from typing import Final

UNICODE_VERSION: Final = "15.0.0"
SCRIPTS: Final = {
    "Adlm": ("1e900-1e95f "),
    "Adlm Arab Mand Mani Ougr Phlp Rohg Sogd Syrc": ("640 "),
    "Adlm Arab Nkoo Rohg Syrc Thaa Yezi": ("61f "),
    "Aghb": ("10530-1056f "),
    "Ahom": ("11700-11746 "),
    "Arab": (
        "600-604 606-60b 60d-61a 61d-61e 620-63f 641-64a 656-65f 66a-66f 671-6d3 6d5-6dc 6de-6ff "
        "750-77f 870-8e1 8e3-8ff fb50-fd3d fd40-fdf1 fdf3-fdfc fdfe-fdff fe70-fefc 10e60-10e7e "
        "10efd-10eff 1ee00-1eef1 "
    ),
    "Arab Copt": ("102e0-102fb "),
    "Arab Nkoo": ("fd3e-fd3f "),
    "Arab Nkoo Rohg Syrc Thaa Yezi": ("60c 61b "),
    "Arab Rohg": ("6d4 "),
    "Arab Syrc": ("64b-655 670 "),
    "Arab Syrc Thaa": ("61c "),
    "Arab Thaa": ("fdf2 fdfd "),
    "Arab Thaa Yezi": ("660-669 "),
    "Armi": ("10840-1085f "),
    "Armn": ("531-58f fb13-fb17 "),
    "Avst": ("10b00-10b3f "),
    "Bali": ("1b00-1b7e "),
    "Bamu": ("a6a0-a6f7 16800-16a38 "),
    "Bass": ("16ad0-16af5 "),
    "Batk": ("1bc0-1bff "),
    "Beng": ("980-9e3 9f0-9fe 1cf7 "),
    "Beng Cakm Sylo": ("9e6-9ef "),
    "Beng Deva": ("1cd5-1cd6 1cd8 1ce1 1cea 1ced 1cf5-1cf6 a8f1 "),
    "Beng Deva Dogr Gong Gonm Gran Gujr Guru Knda Limb Mahj Mlym Nand Orya Sind Sinh Sylo Takr Taml Telu Tirh": (
        "965 "
    ),
    "Beng Deva Dogr Gong Gonm Gran Gujr Guru Knda Mahj Mlym Nand Orya Sind Sinh Sylo Takr Taml Telu Tirh": (
        "964 "
    ),
    "Beng Deva Gran Gujr Guru Knda Latn Mlym Orya Shrd Taml Telu Tirh": ("951 "),
    "Beng Deva Gran Gujr Guru Knda Latn Mlym Orya Taml Telu Tirh": ("952 "),
    "Beng Deva Gran Knda": ("1cd0 1cd2 "),
    "Beng Deva Gran Knda Nand Orya Telu Tirh": ("1cf2 "),
    "Bhks": ("11c00-11c6c "),
    "Bopo": ("2ea-2eb 3105-312f 31a0-31bf "),
    "Bopo Hang Hani Hira Kana": ("3003 3013 301c-301f 3030 3037 fe45-fe46 "),
    "Bopo Hang Hani Hira Kana Yiii": ("3001-3002 3008-3011 3014-301b 30fb ff61-ff65 "),
    "Bopo Hani": ("302a-302d "),
    "Brah": ("11000-1107f "),
    "Brai": ("2800-28ff "),
    "Bugi": ("1a00-1a1f "),
    "Bugi Java": ("a9cf "),
    "Buhd": ("1740-1753 "),
    "Buhd Hano Tagb Tglg": ("1735-1736 "),
    "Cakm": ("11100-11147 "),
    "Cakm Mymr Tale": ("1040-1049 "),
    "Cans": ("1400-167f 18b0-18f5 11ab0-11abf "),
    "Cari": ("102a0-102d0 "),
    "Cham": ("aa00-aa5f "),
    "Cher": ("13a0-13fd ab70-abbf "),
    "Chrs": ("10fb0-10fcb "),
    "Copt": ("3e2-3ef 2c80-2cff "),
    "Cpmn": ("12f90-12ff2 "),
    "Cpmn Cprt Linb": ("10100-10101 "),
    "Cprt": ("10800-1083f "),
    "Cprt Lina Linb": ("10107-10133 "),
    "Cprt Linb": ("10102 10137-1013f "),
    "Cyrl": ("400-482 488-52f 1c80-1c88 1d2b 1d78 2de0-2dff a640-a66e a670-a69f fe2e-fe2f 1e030-1e08f "),
    "Cyrl Glag": ("484 487 2e43 a66f "),
    "Cyrl Latn": ("485-486 "),
    "Cyrl Perm": ("483 "),
    "Cyrl Syrc": ("1df8 "),
    "Deva": (
        "900-950 955-963 970-97f 1cd1 1cd4 1cdb 1cde-1cdf 1ce2-1ce8 1ceb-1cec 1cee-1cf1 a8e0-a8f0 "
        "a8f2 a8f4-a8ff 11b00-11b09 "
    ),
    "Deva Dogr Gujr Guru Khoj Knda Kthi Mahj Mlym Modi Nand Sind Takr Tirh": ("a830-a832 "),
    "Deva Dogr Gujr Guru Khoj Knda Kthi Mahj Modi Nand Sind Takr Tirh": ("a833-a835 "),
    "Deva Dogr Gujr Guru Khoj Kthi Mahj Modi Sind Takr Tirh": ("a836-a839 "),
    "Deva Dogr Kthi Mahj": ("966-96f "),
    "Deva Gran": ("1cd3 1cf3 1cf8-1cf9 "),
    "Deva Gran Knda": ("1cf4 "),
    "Deva Gran Latn": ("20f0 "),
    "Deva Knda Mlym Orya Taml Telu": ("1cda "),
    "Deva Nand": ("1ce9 "),
    "Deva Shrd": ("1cd7 1cd9 1cdc-1cdd 1ce0 "),
    "Deva Taml": ("a8f3 "),
    "Diak": ("11900-11959 "),
    "Dogr": ("11800-1183b "),
    "Dsrt": ("10400-1044f "),
    "Dupl": ("1bc00-1bca3 "),
    "Egyp": ("13000-13455 "),
    "Elba": ("10500-10527 "),
    "Elym": ("10fe0-10ff6 "),
    "Ethi": ("1200-1399 2d80-2dde ab01-ab2e 1e7e0-1e7fe "),
    "Geor": ("10a0-10fa 10fc-10ff 1c90-1cbf 2d00-2d2d "),
    "Geor Latn": ("10fb "),
    "Glag": ("2c00-2c5f 1e000-1e02a "),
    "Gong": ("11d60-11da9 "),
    "Gonm": ("11d00-11d59 "),
    "Goth": ("10330-1034a "),
    "Gran": ("11300 11302 11305-11339 1133d-11374 "),
    "Gran Taml": ("be6-bf3 11301 11303 1133b-1133c 11fd0-11fd1 11fd3 "),
    "Grek": (
        "342 345 370-373 375-37d 37f-384 386 388-3e1 3f0-3ff 1d26-1d2a 1d5d-1d61 1d66-1d6a "
        "1dbf-1dc1 1f00-1ffe 2126 ab65 10140-1018e 101a0 1d200-1d245 "
    ),
    "Gujr": ("a81-ae3 af0-aff "),
    "Gujr Khoj": ("ae6-aef "),
    "Guru": ("a01-a5e a70-a76 "),
    "Guru Mult": ("a66-a6f "),
    "Hang": ("1100-11ff 302e-302f 3131-318e 3200-321e 3260-327e a960-a97c ac00-d7fb ffa0-ffdc "),
    "Hani": (
        "2e80-2fd5 3005-3007 3021-3029 3038-303b 303e-303f 3190-319f 31c0-31e3 3220-3247 3280-32b0 "
        "32c0-32cb 32ff 3358-3370 337b-337f 33e0-33fe 3400-4dbf 4e00-9fff f900-fad9 16fe2-16fe3 "
        "16ff0-16ff1 1d360-1d371 1f250-1f251 20000-323af "
    ),
    "Hani Hira Kana": ("303c-303d "),
    "Hani Latn": ("a700-a707 "),
    "Hano": ("1720-1734 "),
    "Hatr": ("108e0-108ff "),
    "Hebr": ("591-5f4 fb1d-fb4f "),
    "Hira": ("3041-3096 309d-309f 1b001-1b11f 1b132-1b152 1f200 "),
    "Hira Kana": ("3031-3035 3099-309c 30a0 30fc ff70 ff9e-ff9f "),
    "Hluw": ("14400-14646 "),
    "Hmng": ("16b00-16b8f "),
    "Hmnp": ("1e100-1e14f "),
    "Hung": ("10c80-10cff "),
    "Ital": ("10300-1032f "),
    "Java": ("a980-a9cd a9d0-a9df "),
    "Kali": ("a900-a92d a92f "),
    "Kali Latn Mymr": ("a92e "),
    "Kana": (
        "30a1-30fa 30fd-30ff 31f0-31ff 32d0-32fe 3300-3357 ff66-ff6f ff71-ff9d 1aff0-1b000 "
        "1b120-1b122 1b155-1b167 "
    ),
    "Kawi": ("11f00-11f59 "),
    "Khar": ("10a00-10a58 "),
    "Khmr": ("1780-17f9 19e0-19ff "),
    "Khoj": ("11200-11241 "),
    "Kits": ("16fe4 18b00-18cd5 "),
    "Knda": ("c80-ce3 cf1-cf3 "),
    "Knda Nand": ("ce6-cef "),
    "Kthi": ("11080-110cd "),
    "Lana": ("1a20-1aad "),
    "Laoo": ("e81-edf "),
    "Latn": (
        "41-5a 61-7a aa ba c0-d6 d8-f6 f8-2b8 2e0-2e4 363-36f 1d00-1d25 1d2c-1d5c 1d62-1d65 "
        "1d6b-1d77 1d79-1dbe 1e00-1eff 2071 207f 2090-209c 212a-212b 2132 214e 2160-2188 2c60-2c7f "
        "a722-a787 a78b-a7ff ab30-ab5a ab5c-ab64 ab66-ab69 fb00-fb06 ff21-ff3a ff41-ff5a "
        "10780-107ba 1df00-1df2a "
    ),
    "Latn Mong": ("202f "),
    "Lepc": ("1c00-1c4f "),
    "Limb": ("1900-194f "),
    "Lina": ("10600-10767 "),
    "Linb": ("10000-100fa "),
    "Lisu": ("a4d0-a4ff 11fb0 "),
    "Lyci": ("10280-1029c "),
    "Lydi": ("10920-1093f "),
    "Mahj": ("11150-11176 "),
    "Maka": ("11ee0-11ef8 "),
    "Mand": ("840-85e "),
    "Mani": ("10ac0-10af1 10af3-10af6 "),
    "Mani Ougr": ("10af2 "),
    "Marc": ("11c70-11cb6 "),
    "Medf": ("16e40-16e9a "),
    "Mend": ("1e800-1e8d6 "),
    "Merc": ("109a0-109ff "),
    "Mero": ("10980-1099f "),
    "Mlym": ("d00-d7f "),
    "Modi": ("11600-11659 "),
    "Mong": ("1800-1801 1804 1806-18aa 11660-1166c "),
    "Mong Phag": ("1802-1803 1805 "),
    "Mroo": ("16a40-16a6f "),
    "Mtei": ("aae0-aaf6 abc0-abf9 "),
    "Mult": ("11280-112a9 "),
    "Mymr": ("1000-103f 104a-109f a9e0-a9fe aa60-aa7f "),
    "Nagm": ("1e4d0-1e4f9 "),
    "Nand": ("1cfa 119a0-119e4 "),
    "Narb": ("10a80-10a9f "),
    "Nbat": ("10880-108af "),
    "Newa": ("11400-11461 "),
    "Nkoo": ("7c0-7ff "),
    "Nshu": ("16fe1 1b170-1b2fb "),
    "Ogam": ("1680-169c "),
    "Olck": ("1c50-1c7f "),
    "Orkh": ("10c00-10c48 "),
    "Orya": ("b01-b77 "),
    "Osge": ("104b0-104fb "),
    "Osma": ("10480-104a9 "),
    "Ougr": ("10f70-10f89 "),
    "Palm": ("10860-1087f "),
    "Pauc": ("11ac0-11af8 "),
    "Perm": ("10350-1037a "),
    "Phag": ("a840-a877 "),
    "Phli": ("10b60-10b7f "),
    "Phlp": ("10b80-10baf "),
    "Phnx": ("10900-1091f "),
    "Plrd": ("16f00-16f9f "),
    "Prti": ("10b40-10b5f "),
    "Rjng": ("a930-a95f "),
    "Rohg": ("10d00-10d39 "),
    "Runr": ("16a0-16ea 16ee-16f8 "),
    "Samr": ("800-83e "),
    "Sarb": ("10a60-10a7f "),
    "Saur": ("a880-a8d9 "),
    "Sgnw": ("1d800-1daaf "),
    "Shaw": ("10450-1047f "),
    "Shrd": ("11180-111df "),
    "Sidd": ("11580-115dd "),
    "Sind": ("112b0-112f9 "),
    "Sinh": ("d81-df4 111e1-111f4 "),
    "Sogd": ("10f30-10f59 "),
    "Sogo": ("10f00-10f27 "),
    "Sora": ("110d0-110f9 "),
    "Soyo": ("11a50-11aa2 "),
    "Sund": ("1b80-1bbf 1cc0-1cc7 "),
    "Sylo": ("a800-a82c "),
    "Syrc": ("700-74f 860-86a 1dfa "),
    "Tagb": ("1760-1773 "),
    "Takr": ("11680-116c9 "),
    "Tale": ("1950-1974 "),
    "Talu": ("1980-19df "),
    "Taml": ("b82-bd7 bf4-bfa 11fc0-11fcf 11fd2 11fd4-11fff "),
    "Tang": ("16fe0 17000-18aff 18d00-18d08 "),
    "Tavt": ("aa80-aadf "),
    "Telu": ("c00-c7f "),
    "Tfng": ("2d30-2d7f "),
    "Tglg": ("1700-171f "),
    "Thaa": ("780-7b1 "),
    "Thai": ("e01-e3a e40-e5b "),
    "Tibt": ("f00-fd4 fd9-fda "),
    "Tirh": ("11480-114d9 "),
    "Tnsa": ("16a70-16ac9 "),
    "Toto": ("1e290-1e2ae "),
    "Ugar": ("10380-1039f "),
    "Vaii": ("a500-a62b "),
    "Vith": ("10570-105bc "),
    "Wara": ("118a0-118ff "),
    "Wcho": ("1e2c0-1e2ff "),
    "Xpeo": ("103a0-103d5 "),
    "Xsux": ("12000-12543 "),
    "Yezi": ("10e80-10eb1 "),
    "Yiii": ("a000-a4c6 "),
    "Zanb": ("11a00-11a47 "),
    "Zinh": (
        "300-341 343-344 346-362 953-954 1ab0-1ace 1dc2-1df7 1df9 1dfb-1dff 200c-200d 20d0-20ef "
        "fe00-fe0f fe20-fe2d 101fd 1cf00-1cf46 1d167-1d169 1d17b-1d182 1d185-1d18b 1d1aa-1d1ad "
        "e0100-e01ef "
    ),
    "Zyyy": (
        "0-40 5b-60 7b-a9 ab-b9 bb-bf d7 f7 2b9-2df 2e5-2e9 2ec-2ff 374 37e 385 387 605 6dd 8e2 "
        "e3f fd5-fd8 16eb-16ed 2000-200b 200e-202e 2030-2070 2074-207e 2080-208e 20a0-20c0 "
        "2100-2125 2127-2129 212c-2131 2133-214d 214f-215f 2189-27ff 2900-2bff 2e00-2e42 2e44-2e5d "
        "2ff0-3000 3004 3012 3020 3036 3248-325f 327f 32b1-32bf 32cc-32cf 3371-337a 3380-33df 33ff "
        "4dc0-4dff a708-a721 a788-a78a ab5b ab6a-ab6b fe10-fe19 fe30-fe44 fe47-fe6b feff-ff20 "
        "ff3b-ff40 ff5b-ff60 ffe0-fffd 10190-1019c 101d0-101fc 1cf50-1d166 1d16a-1d17a 1d183-1d184 "
        "1d18c-1d1a9 1d1ae-1d1ea 1d2c0-1d356 1d372-1d7ff 1ec71-1ed3d 1f000-1f1ff 1f201-1f248 "
        "1f260-1fbf9 e0001-e007f "
    ),
}
"""The code points used in each set of scripts (UAX 24), in hex; Zyyy, Zinh: in all."""
SAME: Final = {
    "!": ("\u01c3\uff01"),
    '"': ("\u02ba\u02dd\u02ee\u02f6\u05f4\u1cd3\u201c\u201d\u201f\u2033\u2036\u3003\uff02"),
    "%": ("\u066a\u2052"),
    "'": (
        "\u00b4\u02b9\u02bb\u02bc\u02bd\u02be\u02bf\u02c8\u02ca\u02cb\u02f4\u0374\u0384\u055a\u055d"
        "\u05f3\u07f4\u07f5\u1fbd\u1fbf\u1fef\u1ffd\u1ffe\u2018\u2019\u201b\u2032\u2035\ua78b\ua78c"
        "\uff07\uff40"
    ),
    "(": ("\u2768\u2772\u3014\ufd3e\uff3b"),
    ")": ("\u2769\u2773\u3015\ufd3f\uff3d"),
    "*": ("\u066d\u204e\u2217"),
    "+": ("\u16ed\u2795"),
    ",": ("\u00b8\u060d\u066b\u201a"),
    "-": (
        "\u02d7\u058a\u05be\u06d4\u1806\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2212\u2796\u2e1a"
        "\u2e3a\u2e3b\u2e5d\ufe31\ufe32\ufe58\ufe63\uff0d\U00010ead"
    ),
    ".": ("\u0701\u0702\u2024\ua60e\U00010a50"),
    "/": ("\u1735\u2041\u2044\u2215\u2571\u27cb\u29f8\u2f03\u3033\u31d3\U0001d23a"),
    ":": ("\u02d0\u02f8\u0589\u05c3\u0703\u0704\u16ec\u1803\u1809\u205a\u2236\ua789\ufe30\uff1a"),
    ";": ("\u037e"),
    "<": ("\u02c2\u2039\u276e\U0001d236"),
    "=": ("\u1400\u2e40\u30a0\ua4ff"),
    ">": ("\u02c3\u203a\u276f\U0001d237"),
    "\\": ("\u2216\u27cd\u29f5\u29f9\u2f02\u31d4\ufe68\uff3c\U0001d20f\U0001d23b"),
    "^": ("\u02c4\u02c6"),
    "_": ("\u07fa\ufe4d\ufe4e\ufe4f"),
    "{": ("\u2774\U0001d114"),
    "|": ("\u01c0"),
    "||": ("\u01c1"),
    "}": ("\u2775"),
    "~": ("\u02dc\u1fc0\u2053\u223c"),
    "Ə": ("\u018e"),
    "ə": ("\u01dd"),
}
"""Apostrophes, hyphens and other signs that look like the ASCII one before the colon (UTS 39)."""
LIKE_LATIN: Final = (
    "\u037f\u0391\u0392\u0395\u0396\u0397\u0399\u039a\u039c\u039d\u039f\u03a1\u03a4\u03a5\u03a7"
    "\u03b1\u03b3\u03b9\u03bd\u03bf\u03c1\u03c3\u03c5\u03dc\u03f3\u03fa\u0405\u0406\u0408\u0410"
    "\u0412\u0415\u041a\u041c\u041d\u041e\u0420\u0421\u0422\u0423\u0425\u042b\u042c\u042e\u0430"
    "\u0433\u0435\u043e\u0440\u0441\u0443\u0445\u0455\u0456\u0458\u0461\u0474\u0475\u04ae\u04af"
    "\u04bb\u04bd\u04c0\u04cf\u04d4\u04d5\u0501\u050c\u051b\u051c\u051d\u054d\u054f\u0555\u0561"
    "\u0563\u0566\u0570\u0578\u057c\u057d\u0581\u0584\u0585\u05d5\u05d8\u05df\u05e1\u05f0\u0627"
    "\u0647\u0661\u0665\u0667\u06be\u06c1\u06d5\u06f1\u06f5\u06f7\u07c0\u07ca\u0966\u09e6\u0a66"
    "\u0ae6\u0b20\u0b66\u0be6\u0c66\u0ce6\u0d20\u0d66\u0e50\u0ed0\u101d\u1040\u10e7\u10ff\u1200"
    "\u12d0\u13a0\u13a1\u13a2\u13a5\u13a9\u13aa\u13ab\u13ac\u13b3\u13b7\u13bb\u13bd\u13c0\u13c2"
    "\u13c3\u13cf\u13d2\u13d4\u13d5\u13d9\u13da\u13de\u13df\u13e2\u13e6\u13e7\u13f3\u13f4\u142f"
    "\u144c\u146d\u146f\u1472\u148d\u14aa\u1541\u157c\u157d\u1587\u15af\u15b4\u15c5\u15de\u15ea"
    "\u15f0\u15f7\u16b7\u16c1\u16d5\u16d6\u1d26\u2c85\u2c8e\u2c92\u2c94\u2c98\u2c9a\u2c9e\u2c9f"
    "\u2ca2\u2ca3\u2ca4\u2ca5\u2ca6\u2ca8\u2cac\u2cd0\u2d38\u2d39\u2d4f\u2d54\u2d55\u2d5d\u3007"
    "\ua4d0\ua4d1\ua4d2\ua4d3\ua4d4\ua4d6\ua4d7\ua4d9\ua4da\ua4dc\ua4dd\ua4df\ua4e0\ua4e1\ua4e2"
    "\ua4e3\ua4e6\ua4e7\ua4ea\ua4eb\ua4ec\ua4ee\ua4f0\ua4f2\ua4f3\ua4f4\ua647\ua698\ua699\ua6df"
    "\uab75\uab81\uab83\uab93\uaba9\uabaa\uabaf\U00010282\U00010286\U00010287\U0001028a"
    "\U00010290\U00010292\U00010295\U00010296\U00010297\U000102a0\U000102a1\U000102a2\U000102a5"
    "\U000102ab\U000102b0\U000102b1\U000102b2\U000102b4\U000102cf\U000102f5\U00010301\U00010302"
    "\U00010309\U00010311\U00010315\U00010317\U00010320\U00010322\U00010404\U00010415\U0001041b"
    "\U00010420\U0001042c\U0001043d\U00010448\U000104b4\U000104c2\U000104ce\U000104ea\U000104f6"
    "\U00010513\U00010516\U00010518\U0001051c\U0001051d\U00010525\U00010526\U00010527\U000114d0"
    "\U00011700\U00011706\U0001170a\U0001170e\U0001170f\U000118a0\U000118a2\U000118a3\U000118a4"
    "\U000118a6\U000118a9\U000118ae\U000118b2\U000118b5\U000118b8\U000118bc\U000118c0\U000118c1"
    "\U000118c2\U000118c3\U000118c4\U000118c8\U000118d7\U000118d8\U000118dc\U000118e0\U000118e3"
    "\U000118e5\U000118e6\U000118e9\U000118ec\U000118ef\U000118f2\U00016f08\U00016f0a\U00016f16"
    "\U00016f28\U00016f35\U00016f3a\U00016f40\U00016f42\U00016f43\U0001e8c7\uab70\uab71\uab72"
    "\uab79\uab7a\uab7b\uab7c\uab87\uab8b\uab8d\uab90\uab92\uab9f\uaba2\uaba4\uaba5\uabae\uabb2"
    "\uabb6\uabb7\u13fb\u13fc\u2c8f\u2c93\u2c95\u2c99\u2c9b\u2ca7\u2ca9\u2cad\u2cd1\U00010443"
    "\U000104dc\U000118c6\U000118c9\U000118ce\U000118d2\U000118d5"
)
"""Letters of other scripts that look like plain Latin letters (UTS 39)."""
REFUSED: Final = (
    "\u00d7\u0184\u018d\u01a6\u01a7\u01aa\u01ab\u01ba\u01bb\u01bc\u01bd\u01be\u021c\u0221\u0222"
    "\u0223\u0234\u0235\u0236\u0237\u0238\u0239\u0251\u0255\u0258\u025a\u025d\u025e\u025f\u0261"
    "\u0262\u0264\u0267\u026a\u026d\u026e\u026f\u0270\u0273\u0274\u0276\u0277\u0278\u0279\u027a"
    "\u027b\u027c\u027e\u027f\u0281\u0284\u0285\u0286\u028d\u028e\u028f\u0290\u0291\u0293\u0296"
    "\u0297\u0298\u0299\u029a\u029b\u029c\u029f\u02a0\u02a1\u02a2\u02a3\u02a4\u02a5\u02a6\u02a7"
    "\u02a8\u02a9\u02aa\u02ab\u02ac\u02ad\u02ae\u02af\u05c0\u166d\u166e\u1d00\u1d01\u1d02\u1d03"
    "\u1d04\u1d05\u1d06\u1d07\u1d08\u1d09\u1d0a\u1d0b\u1d0c\u1d0d\u1d0e\u1d0f\u1d10\u1d11\u1d12"
    "\u1d13\u1d14\u1d15\u1d16\u1d17\u1d18\u1d19\u1d1a\u1d1b\u1d1c\u1d1d\u1d1e\u1d1f\u1d20\u1d21"
    "\u1d22\u1d23\u1d24\u1d25\u1d6b\u1d6c\u1d6d\u1d6e\u1d6f\u1d70\u1d71\u1d72\u1d73\u1d74\u1d75"
    "\u1d76\u1d77\u1d7a\u1d7b\u1d7c\u1d7e\u1d7f\u1d80\u1d81\u1d82\u1d83\u1d84\u1d85\u1d86\u1d87"
    "\u1d88\u1d89\u1d8a\u1d8b\u1d8c\u1d8d\u1d8f\u1d90\u1d91\u1d92\u1d93\u1d94\u1d95\u1d96\u1d97"
    "\u1d98\u1d99\u1d9a\u1e9c\u1e9d\u1e9f\u1eff\u2016\u20b6\u212e\u2180\u2181\u2182\u2185\u2186"
    "\u2187\u2188\u221e\u2223\u2225\u2228\u222a\u22a4\u22c1\u22c3\u22ff\u2373\u2374\u237a\u23fd"
    "\u2573\u27d9\u292b\u292c\u2a2f\u2c71\u2c74\u2c77\u2c78\u2c79\u2c7a\u2c7b\ua728\ua730\ua731"
    "\ua732\ua733\ua734\ua735\ua736\ua737\ua738\ua739\ua73a\ua73b\ua73c\ua73d\ua74e\ua74f\ua75a"
    "\ua76a\ua76e\ua771\ua772\ua773\ua774\ua775\ua776\ua777\ua778\ua78e\ua78f\ua795\ua798\ua799"
    "\ua79f\ua7ab\ua7af\ua7b2\ua7b3\ua7b4\ua7d3\ua7d5\ua7f7\ua7fa\ua7fb\ua7fc\ua7fd\ua7fe\ua7ff"
    "\uab30\uab31\uab32\uab33\uab34\uab35\uab36\uab37\uab38\uab39\uab3a\uab3b\uab3c\uab3d\uab3e"
    "\uab3f\uab40\uab41\uab42\uab43\uab44\uab45\uab46\uab47\uab48\uab49\uab4a\uab4b\uab4c\uab4d"
    "\uab4e\uab4f\uab50\uab51\uab52\uab54\uab55\uab56\uab57\uab58\uab59\uab5a\uab60\uab61\uab62"
    "\uab63\uab64\uab66\uab67\uab68\U0001d206\U0001d20d\U0001d212\U0001d213\U0001d216\U0001d22a"
    "\U0001df00\U0001df01\U0001df02\U0001df03\U0001df04\U0001df05\U0001df06\U0001df07\U0001df08"
    "\U0001df09\U0001df0a\U0001df0b\U0001df0c\U0001df0d\U0001df0e\U0001df0f\U0001df10\U0001df11"
    "\U0001df12\U0001df13\U0001df14\U0001df15\U0001df16\U0001df17\U0001df18\U0001df19\U0001df1a"
    "\U0001df1b\U0001df1c\U0001df1d\U0001df1e\U0001df25\U0001df26\U0001df27\U0001df28\U0001df29"
    "\U0001df2a\U0001f700\U0001f707\U0001f74c\U0001f75c\U0001f768\U0001f76b\U0001f76c"
)
"""Symbols that look like plain letters; Latin letters that do, or that have one case only."""
