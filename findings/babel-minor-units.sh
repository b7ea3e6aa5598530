#!/usr/bin/env bash
# babel 2.19.0: a currency's precision is not the number of its minor units
#
# One would expect: babel.numbers.get_currency_precision("HUF") is the exponent of ISO 4217, by which
#   card schemes, ISO 8583 and payment APIs count amounts as whole numbers: 2, as for every other user
#   of that standard.
# What happens: it gives CLDR's digits, the decimals that are usual in print today. For 15 currencies in
#   use (forint, rupiah, Colombian peso ...) that is 0 where ISO 4217 says 2 or 3.
# Documented: babel's page "Numbers and Currencies" speaks of the decimals of the format pattern and
#   names no standard. The specification behind it (Unicode TS 35, part 3, currency data) says since
#   2024 that the value need not be ISO's ("CLDR-18008 Specify that currency digits might NOT be derived
#   from ISO 4217"). Java's Currency and the package iso4217 follow ISO.
# What it costs: 250000 minor units of HUF are read as 250,000 forint instead of 2,500. Amount features
#   are out by 100 (IQD by 1,000) in these currencies alone; rules with a limit flag all or nothing.
# Instead: take the exponent from ISO's own table, or the one that the payment scheme publishes; use
#   babel for print.
#
# Seen:
#   babel 2.19.0, iso4217 1.16.20260101
#   code  ISO  babel   250000 minor units: by ISO, by babel
#   COP     2      0   2500.00   250000
#   HUF     2      0   2500.00   250000
#   IDR     2      0   2500.00   250000
#   IQD     3      0   250.000   250000
#   all 15: AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK SOS SYP YER
set -euo pipefail
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install --quiet babel==2.19.0 iso4217==1.16.20260101
venv/bin/python - <<'EOF'
import sys
from decimal import Decimal
from importlib.metadata import version

from babel.numbers import get_currency_precision
from iso4217 import Currency

print(f"babel {version('babel')}, iso4217 {version('iso4217')}")
print("code  ISO  babel   250000 minor units: by ISO, by babel")
other = {}
for currency in sorted(Currency, key=lambda c: c.code):
    babel = get_currency_precision(currency.code)
    if currency.exponent is not None and babel != currency.exponent:
        other[currency.code] = (currency.exponent, babel)
for code in ("COP", "HUF", "IDR", "IQD"):
    iso, babel = other.get(code, (0, 0))
    by_iso, by_babel = (Decimal(250000).scaleb(-digits) for digits in (iso, babel))
    print(f"{code}  {iso:4} {babel:6}   {by_iso}   {by_babel}")
print(f"all {len(other)}:", *other)

known = "AFN ALL COP HUF IDR IQD IRR KPW LAK LBP MGA MMK SOS SYP YER".split()
if list(other) != known or any(babel != 0 for _, babel in other.values()):
    sys.exit("changed: other currencies differ than these 15, each 0 in babel")
EOF
