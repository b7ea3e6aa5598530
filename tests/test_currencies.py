"""Digits of currencies, against Java's own table of ISO 4217."""

from fraudlake import currencies

# Younger than the table of Java 17 may be, and one that it lacks.
YOUNGER = {"UYW", "927", "XCG", "ZWG", "924", "SLE", "925"}


def test_digits_are_those_of_iso_4217(spark):
    found = currencies.digits()
    java = spark.sparkContext._jvm.java.util.Currency.getAvailableCurrencies()
    known = {c.getCurrencyCode(): c for c in java}
    for code in (code for code in found if code.isalpha() and code not in YOUNGER):
        digits, numeric = known[code].getDefaultFractionDigits(), known[code].getNumericCode()
        assert found[code] == found[f"{numeric:03}"] == digits, code
