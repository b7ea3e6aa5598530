"""How many digits a currency has after the point, by ISO 4217.

That is not what CLDR, and what is made from it, says: there a currency whose coins have gone out of
use has fewer (0 for HUF, IQD or COP), while payment messages count in the units of the standard.
"""

from __future__ import annotations

# ISO 4217, list one: letters and number of each currency that is, and of some that were lately.
_CODES = """
AED784 AFN971 ALL008 AMD051 ANG532 AOA973 ARS032 AUD036 AWG533 AZN944 BAM977 BBD052 BDT050 BGN975
BHD048 BIF108 BMD060 BND096 BOB068 BOV984 BRL986 BSD044 BTN064 BWP072 BYN933 BZD084 CAD124 CDF976
CHE947 CHF756 CHW948 CLF990 CLP152 CNY156 COP170 COU970 CRC188 CUC931 CUP192 CVE132 CZK203 DJF262
DKK208 DOP214 DZD012 EGP818 ERN232 ETB230 EUR978 FJD242 FKP238 GBP826 GEL981 GHS936 GIP292 GMD270
GNF324 GTQ320 GYD328 HKD344 HNL340 HRK191 HTG332 HUF348 IDR360 ILS376 INR356 IQD368 IRR364 ISK352
JMD388 JOD400 JPY392 KES404 KGS417 KHR116 KMF174 KPW408 KRW410 KWD414 KYD136 KZT398 LAK418 LBP422
LKR144 LRD430 LSL426 LYD434 MAD504 MDL498 MGA969 MKD807 MMK104 MNT496 MOP446 MRU929 MUR480 MVR462
MWK454 MXN484 MXV979 MYR458 MZN943 NAD516 NGN566 NIO558 NOK578 NPR524 NZD554 OMR512 PAB590 PEN604
PGK598 PHP608 PKR586 PLN985 PYG600 QAR634 RON946 RSD941 RUB643 RWF646 SAR682 SBD090 SCR690 SDG938
SEK752 SGD702 SHP654 SLE925 SLL694 SOS706 SRD968 SSP728 STN930 SVC222 SYP760 SZL748 THB764 TJS972
TMT934 TND788 TOP776 TRY949 TTD780 TWD901 TZS834 UAH980 UGX800 USD840 USN997 UYI940 UYU858 UYW927
UZS860 VED926 VES928 VND704 VUV548 WST882 XAF950 XCD951 XCG532 XOF952 XPF953 YER886 ZAR710 ZMW967
ZWG924 ZWL932
"""
_NOT_TWO = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}


def written(code: str) -> tuple[str, ...]:
    """All ways to write a code: letters, number, number without leading zeros; itself alone, where
    it is none of ISO 4217.

    >>> written("AUD"), written("BTC")
    (('AUD', '036', '36'), ('BTC',))
    """
    for pair in _CODES.split():
        ways = (pair[:3], pair[3:], pair[3:].lstrip("0"))
        if code in ways:
            return tuple(dict.fromkeys(ways))
    return (code,)


def digits() -> dict[str, int]:
    """Code of a currency, letters or number → digits after its point.

    >>> [digits()[code] for code in ("EUR", "978", "JPY", "KWD")]
    [2, 2, 0, 3]
    """
    other = {letters: n for n, codes in _NOT_TWO.items() for letters in codes.split()}
    found = {}
    for code in _CODES.split():
        found[code[:3]] = found[code[3:]] = other.get(code[:3], 2)
    return found
